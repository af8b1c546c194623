package erofs

import (
	"fmt"
	"math/bits"
	"strings"
)

// chunkBits is the chunk size for a file of the given size as a power of two
// blocks. One chunk always holds the whole file, so that a file costs four
// bytes of block map whatever its size.
func chunkBits(size int64) int {
	n := bits.Len64(uint64(size-1)) - blockBits
	return max(n, 0)
}

// inode writes node i's inode, attributes and data.
func (b *builder) inode(i int) {
	n, p := &b.nodes[i], &b.at[i]
	o := b.out[p.off:]
	le.PutUint16(o[0:], 1|uint16(p.layout)<<1)
	if p.xattrs > 0 {
		le.PutUint16(o[2:], uint16((p.xattrs-xattrHeader)/4+1))
	}
	le.PutUint16(o[4:], uint16(n.Mode))
	le.PutUint64(o[8:], uint64(p.size))
	le.PutUint32(o[20:], uint32(i))
	le.PutUint32(o[24:], n.UID)
	le.PutUint32(o[28:], n.GID)
	le.PutUint64(o[32:], uint64(n.MTime))
	le.PutUint32(o[44:], p.nlink)
	if p.xattrs > 0 {
		writeXattrs(o[inodeSize:inodeSize+p.xattrs], n.Xattrs)
	}
	tail := o[inodeSize+p.xattrs:]
	switch n.Mode & TypeMask {
	case Dir:
		le.PutUint32(o[16:], uint32(p.data/blockSize))
		b.dirents(i, tail)
	case Symlink:
		if p.layout == layoutInline {
			copy(tail, n.Target)
			break
		}
		le.PutUint32(o[16:], uint32(p.data/blockSize))
		copy(b.out[p.data:], n.Target)
	case Regular:
		switch {
		case n.Size == 0:
		case b.contents != nil:
			le.PutUint32(o[16:], uint32(p.data/blockSize))
		default:
			le.PutUint32(o[16:], uint32(chunkBits(n.Size)))
			le.PutUint32(tail, ^uint32(0)) // a hole
		}
	case Char, Block:
		le.PutUint32(o[16:], n.Minor&0xff|n.Major<<8|(n.Minor&^0xff)<<12)
	}
}

// The attribute name prefixes that have a number in the format. An empty rest
// is meant only for the two access control lists.
var xattrPrefixes = []struct {
	prefix string
	index  byte
}{
	{"user.", 1},
	{"system.posix_acl_access", 2},
	{"system.posix_acl_default", 3},
	{"trusted.", 4},
	{"security.", 6},
}

func splitXattr(name string) (index byte, rest string, err error) {
	for _, p := range xattrPrefixes {
		if r, ok := strings.CutPrefix(name, p.prefix); ok {
			if acl := p.index == 2 || p.index == 3; acl != (r == "") {
				break
			}
			return p.index, r, nil
		}
	}
	return 0, "", fmt.Errorf("extended attribute %q is in no namespace that an image can hold (user, trusted, security, access control lists)", name)
}

func xattrsSize(xs []Xattr) (int, error) {
	if len(xs) == 0 {
		return 0, nil
	}
	size := xattrHeader
	for _, x := range xs {
		_, rest, err := splitXattr(x.Name)
		if err != nil {
			return 0, err
		}
		if len(rest) > 255 || len(x.Value) > 0xffff {
			return 0, fmt.Errorf("extended attribute %q: name or value is too long", x.Name)
		}
		size += (xattrEntry + len(rest) + len(x.Value) + 3) &^ 3
	}
	if size > maxXattrs {
		return 0, fmt.Errorf("extended attributes take %d bytes, the limit is %d", size, maxXattrs)
	}
	return size, nil
}

func writeXattrs(o []byte, xs []Xattr) {
	o = o[xattrHeader:]
	for _, x := range xs {
		index, rest, _ := splitXattr(x.Name) // checked by xattrsSize
		o[0], o[1] = byte(len(rest)), index
		le.PutUint16(o[2:], uint16(len(x.Value)))
		copy(o[xattrEntry:], rest)
		copy(o[xattrEntry+len(rest):], x.Value)
		o = o[(xattrEntry+len(rest)+len(x.Value)+3)&^3:]
	}
}
