package erofs

import (
	"bufio"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math"
)

// Contents are what is in the regular files of an image.
type Contents interface {
	// Sum is the sha256 of node i's content. Files of one sum share their blocks.
	Sum(i int) [32]byte
	// Open opens node i's content, which has the node's size.
	Open(i int) (io.ReadCloser, error)
}

// Write writes the image of nodes, as Build takes them, with the content of
// its regular files, uncompressed. Every kernel with EROFS mounts it (5.4). The same nodes and contents
// always give the same bytes. Beside the image's metadata nothing of it is
// held in memory.
func Write(w io.Writer, nodes []Node, contents Contents) error {
	b := &builder{nodes: nodes, contents: contents}
	if err := b.link(); err != nil {
		return err
	}
	if err := b.place(); err != nil {
		return err
	}
	files, err := b.placeFiles()
	if err != nil {
		return err
	}
	b.out = make([]byte, b.size)
	for i := range b.nodes {
		if b.nodes[i].Link == None {
			b.inode(i)
		}
	}
	b.super()
	out := bufio.NewWriterSize(w, 1<<20)
	if _, err := out.Write(b.out); err != nil {
		return err
	}
	for _, i := range files {
		if err := b.file(out, i); err != nil {
			return fmt.Errorf("erofs image: %s: %w", b.path(i), err)
		}
	}
	return out.Flush()
}

// placeFiles gives each content its blocks behind everything else, in the order
// of the nodes, and returns the first node of each.
func (b *builder) placeFiles() ([]int, error) {
	var files []int
	at := map[[32]byte]int64{}
	b.end = b.size
	for i := range b.nodes {
		n := &b.nodes[i]
		if n.Link != None || n.Mode&TypeMask != Regular || n.Size == 0 {
			continue
		}
		sum := b.contents.Sum(i)
		have, ok := at[sum]
		if !ok {
			have = b.end
			at[sum] = have
			files = append(files, i)
			if n.Size > math.MaxUint32*blockSize-b.end {
				return nil, fmt.Errorf("erofs image: it takes more than 2^32 blocks of %d bytes", blockSize)
			}
			b.end += (n.Size + blockSize - 1) &^ (blockSize - 1)
		}
		b.at[i].data = have
	}
	return files, nil
}

var padding [blockSize]byte

func (b *builder) file(w *bufio.Writer, i int) error {
	r, err := b.contents.Open(i)
	if err != nil {
		return err
	}
	defer r.Close()
	size := b.nodes[i].Size
	if n, err := io.CopyN(w, r, size); err != nil {
		if errors.Is(err, io.EOF) {
			err = fmt.Errorf("its content ends after %d of %d bytes", n, size)
		}
		return err
	}
	if rest := size % blockSize; rest > 0 {
		_, err = w.Write(padding[rest:])
	}
	return err
}

// fingerprint is over what is in the image, its UUID and checksum being zero.
func (b *builder) fingerprint() []byte {
	h := sha256.New()
	h.Write(b.out)
	if b.contents != nil {
		for i := range b.nodes {
			if n := &b.nodes[i]; n.Link == None && n.Mode&TypeMask == Regular && n.Size > 0 {
				sum := b.contents.Sum(i)
				h.Write(sum[:])
			}
		}
	}
	return h.Sum(nil)
}
