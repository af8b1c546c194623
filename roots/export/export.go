package export

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"ninefold/internal/progress"
	"ninefold/internal/replace"
	"ninefold/roots/driver"
	"ninefold/roots/image"
	"ninefold/roots/layer"
	"ninefold/roots/pkg"
	"ninefold/roots/registry"
	"ninefold/roots/store"
)

// The forms of an export.
const (
	Dir      = "dir"
	Tar      = "tar"
	OCI      = "oci"
	Squashfs = "squashfs"
	Erofs    = "erofs"
)

// Forms are all of them.
var Forms = []string{Dir, Tar, OCI, Squashfs, Erofs}

var (
	// ErrForm: there is no form of that name.
	ErrForm = errors.New("no such form")
	// ErrExists: a directory is in the way, and is not written over.
	ErrExists = errors.New("there is something already")
	// ErrTool: the program that makes the form is not installed.
	ErrTool = errors.New("not installed")
)

// Export writes image id, which reference stands for, in a form to a file, or to
// a directory if the form is one. A file that is there is replaced in one step, a directory is
// not. OCI is an archive, or a layout in a directory where to ends in a
// slash.
func Export(ctx context.Context, s *store.Store, id image.ID, reference, form, to string) error {
	if !slices.Contains(Forms, form) {
		return fmt.Errorf("form %q: %w; there are %s", form, ErrForm, strings.Join(Forms, ", "))
	}
	lease, err := s.Lease(id)
	if err != nil {
		return err
	}
	defer lease.Close()
	if err := export(ctx, s, id, reference, form, to); err != nil {
		return fmt.Errorf("export image %s: %w", id.Short(), err)
	}
	return nil
}

func export(ctx context.Context, s *store.Store, id image.ID, reference, form, to string) error {
	if form == OCI {
		if dir, ok := strings.CutSuffix(to, "/"); ok {
			return directory(dir, func(aside string) error { return registry.Export(ctx, s, id, reference, aside) })
		}
		return archive(ctx, s, id, reference, to)
	}
	tree, err := driver.Tree(ctx, s, id)
	if err != nil {
		return err
	}
	if form == Dir {
		return directory(strings.TrimSuffix(to, "/"), func(aside string) error { return driver.Copy(ctx, s, tree, aside) })
	}
	s.Progress().Update(progress.Update{Stage: "export", Item: form, Total: 1, Unit: "files"})
	err = file(to, func(f *os.File) error { return Write(ctx, s, tree, form, f) })
	if err == nil {
		s.Progress().Update(progress.Update{Stage: "export", Item: form, Done: 1, Total: 1, Unit: "files", End: true})
	}
	return err
}

// file writes a file aside and puts it in its place; a special file, such as a pipe, is written to.
func file(to string, write func(*os.File) error) error {
	info, err := os.Stat(to)
	if err == nil && !info.Mode().IsRegular() && !info.IsDir() {
		f, err := os.OpenFile(to, os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		return errors.Join(write(f), f.Close())
	}
	return replace.Stream(to, 0o644, write)
}

// Write writes a tree of the store as Tar, Squashfs or Erofs.
func Write(ctx context.Context, s *store.Store, tree *image.Tree, form string, f *os.File) error {
	switch form {
	case Tar:
		w := &canceled{ctx, f}
		return layer.WriteRoot(ctx, s, tree.Entries, w)
	case Squashfs:
		return squashfs(ctx, s, tree, f)
	case Erofs:
		return writeErofs(ctx, s, tree, f)
	}
	return fmt.Errorf("form %q: %w of one file", form, ErrForm)
}

// Sum is a digest of what Export writes: two images whose sums are the same are the same bytes. Of Tar,
// Erofs and Squashfs it is the sha256; of OCI that of the index, which names everything else,
// without signatures, which do not follow from the image. The caller holds a lease.
func Sum(ctx context.Context, s *store.Store, id image.ID, form string) (pkg.Digest, error) {
	if form == OCI {
		return registry.Sum(ctx, s, id)
	}
	tree, err := driver.Tree(ctx, s, id)
	if err != nil {
		return pkg.Digest{}, err
	}
	h := sha256.New()
	switch form {
	case Tar:
		err = layer.WriteRoot(ctx, s, tree.Entries, h)
	case Erofs:
		err = writeErofs(ctx, s, tree, h)
	case Squashfs:
		err = throughFile(s, h, func(f *os.File) error { return squashfs(ctx, s, tree, f) })
	default:
		err = fmt.Errorf("form %q: %w whose sum is known", form, ErrForm)
	}
	return pkg.Digest(h.Sum(nil)), err
}

// throughFile copies to w what write made of a file, for what does not write from the beginning to the end.
func throughFile(s *store.Store, w io.Writer, write func(*os.File) error) error {
	dir, remove, err := s.TempDir("sum")
	if err != nil {
		return err
	}
	defer remove()
	f, err := os.Create(filepath.Join(dir, "file"))
	if err != nil {
		return err
	}
	defer f.Close()
	if err := write(f); err != nil {
		return err
	}
	_, err = io.Copy(w, io.NewSectionReader(f, 0, math.MaxInt64))
	return err
}

// canceled ends a write with its context.
type canceled struct {
	ctx context.Context
	w   io.Writer
}

func (c *canceled) Write(p []byte) (int, error) {
	if c.ctx.Err() != nil {
		return 0, context.Cause(c.ctx)
	}
	return c.w.Write(p)
}
