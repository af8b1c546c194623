package driver

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"ninefold/roots/image"
	"ninefold/roots/store"
)

// A whole chain is one metadata image, or a stack of them: that of an ancestor,
// and over it for each descendant what that one adds and changes. So the many names that the
// images of a family share are on disk once.
const (
	maxStack = 4    // metadata images; each is one more mount of a session's start
	worth    = 1000 // entries, about 150 KiB, that a stack has to save
)

// overFile lies over what is composed of the whole chain of parent, which is
// the image's.
func overFile(id, parent image.ID) string { return overPrefix(id) + parent.String() + ".erofs" }

func overPrefix(id image.ID) string { return "composefs/" + id.String() + "+" }

// composed returns the metadata images of a part, topmost first, or an error
// that wraps ErrNotComposed.
func composed(s *store.Store, id image.ID, part Part) ([]string, error) {
	var files []string
	for at := id; len(files) < maxStack; {
		file := filepath.Join(s.Dir(), metadataFile(at, part))
		if exists(file) {
			return append(files, file), nil
		}
		if part != Full {
			break
		}
		m, err := s.Image(at)
		if err != nil {
			return nil, err
		}
		file = filepath.Join(s.Dir(), overFile(at, m.Parent))
		if m.Parent.IsZero() || !exists(file) {
			break
		}
		files, at = append(files, file), m.Parent
	}
	return nil, fmt.Errorf("image %s (%s): %w", id.Short(), part, ErrNotComposed)
}

// over returns what image id adds to its parent, which it composes, and the
// name that this has when composed. A nil tree says that a stack is not worth it.
func over(ctx context.Context, s *store.Store, built []image.Built, tree *image.Tree) (*image.Tree, string, error) {
	n := len(built) - 1
	if n == 0 {
		return nil, "", nil
	}
	base, err := image.Flatten(built[:n])
	if errors.Is(err, image.ErrConflict) {
		return nil, "", nil // what is in conflict there was removed above
	}
	if err != nil {
		return nil, "", err
	}
	own := tree.Over(base, n)
	if saved := len(tree.Entries) - len(own.Entries); saved < worth || saved < len(own.Entries) {
		return nil, "", nil
	}
	parent := built[n-1].Manifest.ID()
	if err := composeMetadata(ctx, s, parent, Full, nil); err != nil {
		return nil, "", err
	}
	files, err := composed(s, parent, Full)
	if err != nil || len(files) == maxStack {
		return nil, "", err
	}
	return own, overFile(built[n].Manifest.ID(), parent), nil
}

// removeOver deletes what lies over the chain of whatever parent image id has.
func removeOver(s *store.Store, id image.ID) error {
	files, err := filepath.Glob(filepath.Join(s.Dir(), overPrefix(id)+"*"))
	for _, file := range files {
		if e := os.Remove(file); e != nil && !errors.Is(e, os.ErrNotExist) {
			err = errors.Join(err, e)
		}
	}
	return err
}
