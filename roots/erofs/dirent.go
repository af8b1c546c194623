package erofs

import (
	"fmt"
	"iter"
	"strings"
)

func checkName(name string) error {
	switch {
	case name == "" || name == "." || name == "..":
		return fmt.Errorf("%q is not a file name", name)
	case len(name) > maxName:
		return fmt.Errorf("the name has %d bytes, the limit is %d", len(name), maxName)
	case strings.ContainsAny(name, "/\x00"):
		return fmt.Errorf("the name holds a slash or a NUL")
	}
	return nil
}

// names yields directory d's names with the node each stands for, "." and ".."
// among them, in the bytewise order that the kernel's binary search needs.
func (b *builder) names(d int) iter.Seq2[string, int] {
	return func(yield func(string, int) bool) {
		dots := [...]struct {
			name string
			node int
		}{{".", d}, {"..", int(b.nodes[d].Parent)}}
		if d == 0 {
			dots[1].node = 0
		}
		k := 0
		for _, c := range b.children[b.first[d]:b.first[d+1]] {
			for k < len(dots) && dots[k].name < b.nodes[c].Name {
				if !yield(dots[k].name, dots[k].node) {
					return
				}
				k++
			}
			if !yield(b.nodes[c].Name, int(c)) {
				return
			}
		}
		for ; k < len(dots); k++ {
			if !yield(dots[k].name, dots[k].node) {
				return
			}
		}
	}
}

// direntsSize is i_size of directory d: full blocks and what is used of the
// last one. An entry and its name lie in one block.
func (b *builder) direntsSize(d int) int64 {
	full, used := int64(0), 0
	for name := range b.names(d) {
		need := direntSize + len(name)
		if used+need > blockSize {
			full += blockSize
			used = 0
		}
		used += need
	}
	return full + int64(used)
}

// dirents writes directory d's entries: whole blocks outside the inode, the
// rest into tail when the layout is inline.
func (b *builder) dirents(d int, tail []byte) {
	type entry struct {
		name string
		node int
	}
	var block [blockSize / (direntSize + 1)]entry
	p := &b.at[d]
	n, used, done := 0, 0, int64(0)
	flush := func() {
		o := tail
		if p.layout != layoutInline || done+blockSize <= p.size {
			o = b.out[p.data+done:]
		}
		at := n * direntSize
		for i, e := range block[:n] {
			x := &b.nodes[e.node]
			inode := e.node
			if x.Link != None {
				inode = int(x.Link)
			}
			le.PutUint64(o[i*direntSize:], uint64(b.at[inode].off/slotSize))
			le.PutUint16(o[i*direntSize+8:], uint16(at))
			o[i*direntSize+10] = direntType(b.nodes[inode].Mode)
			at += copy(o[at:], e.name)
		}
		done += blockSize
		n, used = 0, 0
	}
	for name, node := range b.names(d) {
		need := direntSize + len(name)
		if used+need > blockSize {
			flush()
		}
		block[n] = entry{name, node}
		n++
		used += need
	}
	flush()
}

// direntType is the file type as directory entries carry it.
func direntType(mode uint32) byte {
	switch mode & TypeMask {
	case Regular:
		return 1
	case Dir:
		return 2
	case Char:
		return 3
	case Block:
		return 4
	case Fifo:
		return 5
	case Symlink:
		return 7
	}
	return 0
}
