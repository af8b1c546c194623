package erofs

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
)

var le = binary.LittleEndian

// Build returns the image of nodes. The first node is the root directory;
// the children of each directory stand in bytewise ascending order of their
// names, though not next to each other. A node that breaks a rule of Node is an error
// that names it.
//
// The image's UUID is a fingerprint of its content, see Check.
func Build(nodes []Node) ([]byte, error) {
	b := &builder{nodes: nodes}
	if err := b.link(); err != nil {
		return nil, err
	}
	if err := b.place(); err != nil {
		return nil, err
	}
	b.out = make([]byte, b.size)
	for i := range b.nodes {
		if b.nodes[i].Link == None {
			b.inode(i)
		}
	}
	b.super()
	return b.out, nil
}

// placed is where a node's inode lies and how its data is stored.
type placed struct {
	off    int64 // of the inode, from the start of the image
	data   int64 // of a directory's, symlink's or whole file's blocks outside the inode
	size   int64 // i_size of a directory
	xattrs int32 // encoded size, header included
	nlink  uint32
	layout uint8
}

type builder struct {
	nodes []Node
	at    []placed
	// children[first[d]:first[d+1]] are the nodes in directory d.
	children []int32
	first    []int32
	inodes   uint64
	chunked  bool
	size     int64
	out      []byte
	// contents and end are of Write: the image ends with the files' blocks.
	contents Contents
	end      int64
}

// link checks the nodes' references and names, lists each directory's
// children and counts links.
func (b *builder) link() error {
	n := len(b.nodes)
	if n == 0 || n > MaxNodes {
		return fmt.Errorf("erofs image: %d nodes, want 1 to %d", n, MaxNodes)
	}
	if root := &b.nodes[0]; root.Mode&TypeMask != Dir || root.Link != None || root.Name != "" {
		return fmt.Errorf("erofs image: the first node is not a root directory")
	}
	b.at = make([]placed, n)
	b.first = make([]int32, n+1)
	for i := 1; i < n; i++ {
		d := &b.nodes[i]
		if d.Parent < 0 || int(d.Parent) >= i || b.nodes[d.Parent].Mode&TypeMask != Dir || b.nodes[d.Parent].Link != None {
			return fmt.Errorf("erofs image: %s: its parent is not an earlier directory", b.path(i))
		}
		if d.Link != None {
			if d.Link < 0 || int(d.Link) >= i || b.nodes[d.Link].Link != None || b.nodes[d.Link].Mode&TypeMask == Dir {
				return fmt.Errorf("erofs image: %s: it links to what is not an earlier file", b.path(i))
			}
			b.at[d.Link].nlink++
		} else {
			b.at[i].nlink++
			if d.Mode&TypeMask == Dir {
				b.at[i].nlink++
				b.at[d.Parent].nlink++
			}
		}
		b.first[d.Parent+1]++
	}
	b.at[0].nlink += 2
	for i := 0; i < n; i++ {
		b.first[i+1] += b.first[i]
	}
	b.children = make([]int32, n-1)
	next := make([]int32, n)
	copy(next, b.first)
	for i := 1; i < n; i++ {
		p := b.nodes[i].Parent
		name := b.nodes[i].Name
		if err := checkName(name); err != nil {
			return fmt.Errorf("erofs image: %s: %w", b.path(i), err)
		}
		if at := next[p]; at > b.first[p] && b.nodes[b.children[at-1]].Name >= name {
			return fmt.Errorf("erofs image: %s: it is not after %q in its directory", b.path(i), b.nodes[b.children[at-1]].Name)
		}
		b.children[next[p]] = int32(i)
		next[p]++
	}
	return nil
}

// place gives every inode its offset. Inodes follow the superblock in node
// order; an inode with its attributes and inline data stays in one block when it
// fits into one, because the kernel reads inline data from a single block.
func (b *builder) place() error {
	pos := int64(superOffset + superSize)
	for i := range b.nodes {
		n := &b.nodes[i]
		if n.Link != None {
			continue
		}
		p := &b.at[i]
		b.inodes++
		xs, err := xattrsSize(n.Xattrs)
		if err != nil {
			return fmt.Errorf("erofs image: %s: %w", b.path(i), err)
		}
		p.xattrs = int32(xs)
		head := int64(inodeSize + xs)
		tail := int64(0)
		switch n.Mode & TypeMask {
		case Dir:
			p.size = b.direntsSize(i)
			tail = p.size % blockSize
			p.layout = layoutInline
		case Symlink:
			if len(n.Target) == 0 || len(n.Target) > maxTarget {
				return fmt.Errorf("erofs image: %s: a link text of %d bytes, want 1 to %d", b.path(i), len(n.Target), maxTarget)
			}
			p.size = int64(len(n.Target))
			tail = p.size
			p.layout = layoutInline
		case Regular:
			if n.Size < 0 {
				return fmt.Errorf("erofs image: %s: negative size", b.path(i))
			}
			p.size = n.Size
			if n.Size > 0 && b.contents == nil {
				if chunkBits(n.Size) > 31 {
					return fmt.Errorf("erofs image: %s: %d bytes are more than one chunk can hold", b.path(i), n.Size)
				}
				p.layout, tail, b.chunked = layoutChunk, blockMapEntry, true
			}
		case Char, Block, Fifo:
		default:
			return fmt.Errorf("erofs image: %s: unknown file type %#o", b.path(i), n.Mode&TypeMask)
		}
		if p.layout == layoutInline && (tail == 0 || head+tail > blockSize) {
			p.layout, tail = layoutPlain, 0
		}
		total := (head + tail + slotSize - 1) &^ (slotSize - 1)
		in := pos % blockSize
		if in+total > blockSize && (total <= blockSize || in+inodeSize > blockSize) {
			pos += blockSize - in
		}
		p.off = pos
		pos += total
	}
	pos = (pos + blockSize - 1) &^ (blockSize - 1)
	for i := range b.nodes {
		p, n := &b.at[i], &b.nodes[i]
		if n.Link != None {
			continue
		}
		if t := n.Mode & TypeMask; t != Dir && t != Symlink {
			continue
		}
		outside := p.size
		if p.layout == layoutInline {
			outside -= p.size % blockSize
		}
		p.data = pos
		pos += (outside + blockSize - 1) &^ (blockSize - 1)
	}
	if pos > maxImageSize {
		return fmt.Errorf("erofs image: %d bytes of metadata, the limit is %d", pos, int64(maxImageSize))
	}
	b.size = pos
	return nil
}

// super writes the superblock, the fingerprint and the checksum, in this
// order: the checksum covers the fingerprint.
func (b *builder) super() {
	s := b.out[superOffset : superOffset+superSize]
	le.PutUint32(s[0:], magic)
	le.PutUint32(s[8:], compatChecksum|compatMTime)
	s[12] = blockBits
	le.PutUint16(s[14:], uint16(b.at[0].off/slotSize)) // the root comes first, so this is 36
	le.PutUint64(s[16:], b.inodes)
	le.PutUint32(s[36:], uint32(max(b.size, b.end)/blockSize))
	if b.chunked {
		le.PutUint32(s[80:], incompatChunked)
	}
	copy(b.out[uuidOffset:], b.fingerprint()[:16])
	le.PutUint32(b.out[checksumOffset:], superChecksum(b.out[:blockSize]))
}

// superChecksum is crc32c over the first block from the superblock on, with
// the checksum field zero and without the final inversion.
func superChecksum(block []byte) uint32 {
	return ^crc32.Checksum(block[superOffset:], crc32.MakeTable(crc32.Castagnoli))
}

// path spells out node i for an error message.
func (b *builder) path(i int) string {
	s := ""
	for depth := 0; i > 0 && depth < 64; depth++ {
		s = "/" + b.nodes[i].Name + s
		p := int(b.nodes[i].Parent)
		if p < 0 || p >= i {
			break
		}
		i = p
	}
	return fmt.Sprintf("%q", s)
}
