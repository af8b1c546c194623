package driver

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"ninefold/internal/progress"
	"ninefold/namespaces/plan"
	"ninefold/roots/erofs"
	"ninefold/roots/image"
	"ninefold/roots/pkg"
	"ninefold/roots/store"
)

// Composefs makes one metadata-only erofs a part; the content stays in the
// object store, once for all images. The kernel mounts the file without a loop device
// (Linux 6.12) and takes the objects as a data-only lower (6.5), whose names are
// seen nowhere.
type Composefs struct{}

// Name implements Driver.
func (Composefs) Name() string { return "composefs" }

// Compose implements Driver. The bytes depend on the part alone.
func (Composefs) Compose(ctx context.Context, s *store.Store, id image.ID, part Part) error {
	return composeMetadata(ctx, s, id, part, nil)
}

// Layers implements Driver.
func (Composefs) Layers(s *store.Store, id image.ID, part Part) ([]plan.Layer, error) {
	return metadataLayers(s, id, part, plan.LayerComposefs)
}

// Remove implements Driver. The file serves Loop too.
func (Composefs) Remove(s *store.Store, id image.ID, part Part) error {
	return removeMetadata(s, id, part)
}

func metadataFile(id image.ID, part Part) string { return "composefs/" + fileName(id, part) + ".erofs" }

// composeMetadata writes the metadata image of a part, or what lies over that of
// the parent, unless it is there: since it is written aside and synced, one that is there
// is whole. check may refuse the tree.
func composeMetadata(ctx context.Context, s *store.Store, id image.ID, part Part, check func(*image.Tree) error) error {
	lease, err := s.Lease(id)
	if err != nil {
		return err
	}
	defer lease.Close()
	if _, err := composed(s, id, part); check == nil && !errors.Is(err, ErrNotComposed) {
		return err
	}
	s.Progress().Update(progress.Update{Stage: "compose", Item: id.Short(), Total: 1, Unit: "steps"})
	built, tree, err := read(ctx, s, id, part)
	if err != nil {
		return err
	}
	if check != nil {
		if err := check(tree); err != nil {
			return fmt.Errorf("compose image %s: %w", id.Short(), err)
		}
		if _, err := composed(s, id, part); !errors.Is(err, ErrNotComposed) {
			return err
		}
	}
	name := metadataFile(id, part)
	if part == Full {
		own, file, err := over(ctx, s, built, tree)
		if err != nil {
			return err
		}
		if own != nil {
			name, tree = file, own
		}
	}
	data, err := erofs.Build(nodes(tree))
	if err != nil {
		return fmt.Errorf("compose image %s: %w", id.Short(), err)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := s.Write(name, data); err != nil {
		return fmt.Errorf("compose image %s: %w", id.Short(), err)
	}
	s.Progress().Update(progress.Update{Stage: "compose", Item: id.Short(), Done: 1, Total: 1, Unit: "steps", End: true})
	return nil
}

// Metadata makes the metadata image of an image's whole chain, and keeps none.
func Metadata(ctx context.Context, s *store.Store, id image.ID) ([]byte, error) {
	tree, err := load(ctx, s, id, Full)
	if err != nil {
		return nil, err
	}
	return erofs.Build(nodes(tree))
}

func metadataLayers(s *store.Store, id image.ID, part Part, kind plan.LayerKind) ([]plan.Layer, error) {
	files, err := composed(s, id, part)
	if err != nil {
		return nil, err
	}
	var layers []plan.Layer
	for _, file := range files {
		layers = append(layers, plan.Layer{Kind: kind, Source: file, Data: s.ObjectsDir()})
	}
	return layers, nil
}

func removeMetadata(s *store.Store, id image.ID, part Part) error {
	err := os.Remove(filepath.Join(s.Dir(), metadataFile(id, part)))
	if errors.Is(err, os.ErrNotExist) {
		err = nil
	}
	if part == Full {
		err = errors.Join(err, removeOver(s, id))
	}
	return err
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// Loop mounts the same metadata image on a loop device, with the object
// directory as an ordinary lower, for kernels before 6.12. Overlay then merges
// the object directory's own names, the 256 directories 00 to ff, into the root. Whoever mounts the
// layer puts one more on top that holds a whiteout (device 0:0) for each: the
// kernel looks up a redirect in the layers below the one that has it, so a
// whiteout above hides the names and not the content, while one in between, or
// in a second metadata image above, would hide both.
type Loop struct{}

// Name implements Driver.
func (Loop) Name() string { return "loop" }

// Compose implements Driver. An image with one of the 256 names in its root is
// refused: the whiteout would hide it.
func (Loop) Compose(ctx context.Context, s *store.Store, id image.ID, part Part) error {
	return composeMetadata(ctx, s, id, part, func(t *image.Tree) error {
		for i := range t.Entries {
			if name := t.Entries[i].Path; shardName(name) && !image.IsWhiteout(&t.Entries[i]) {
				return fmt.Errorf("/%s has the name of an object directory, which the loop driver cannot show", name)
			}
		}
		return nil
	})
}

func shardName(s string) bool {
	if len(s) != 2 {
		return false
	}
	_, err := pkg.ParseDigest(fmt.Sprintf("%s%062d", s, 0))
	return err == nil
}

// Layers implements Driver.
func (Loop) Layers(s *store.Store, id image.ID, part Part) ([]plan.Layer, error) {
	return metadataLayers(s, id, part, plan.LayerLoop)
}

// Remove implements Driver. The file serves Composefs too.
func (Loop) Remove(s *store.Store, id image.ID, part Part) error {
	return removeMetadata(s, id, part)
}
