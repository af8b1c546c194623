package export

import (
	"context"
	"io"

	"ninefold/roots/driver"
	"ninefold/roots/erofs"
	"ninefold/roots/image"
	"ninefold/roots/store"
)

// contents are those of a tree's files, whose node i is entry i-1.
type contents struct {
	s    *store.Store
	tree *image.Tree
}

func (c contents) Sum(i int) [32]byte { return c.tree.Entries[i-1].Digest }

func (c contents) Open(i int) (io.ReadCloser, error) { return c.s.Object(c.tree.Entries[i-1].Digest) }

func writeErofs(ctx context.Context, s *store.Store, tree *image.Tree, w io.Writer) error {
	return erofs.Write(&canceled{ctx, w}, driver.Nodes(tree), contents{s, tree})
}
