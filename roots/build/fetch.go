package build

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sync/errgroup"

	"ninefold/roots/debian"
	"ninefold/roots/pkg"
	"ninefold/roots/recipe"
)

// fetched are the recipe's files in words: a name and what it stands for.
func (j *job) fetched() []string {
	var words []string
	for _, f := range j.recipe.Fetch {
		words = append(words, f.FileName()+" "+f.SHA256)
	}
	return words
}

// fetch brings the recipe's files, and lays them into a directory, j.files, for the sandbox. Those
// that came before, for this or another recipe, are known by their hash.
func (j *job) fetch(ctx context.Context) (remove func(), err error) {
	if len(j.recipe.Fetch) == 0 {
		return func() {}, nil
	}
	dir, remove, err := j.Store.TempDir("fetched")
	if err != nil {
		return nil, err
	}
	// TempDir is root's alone, and commands may be run as others.
	files := filepath.Join(dir, "files")
	if err := os.Mkdir(files, 0o755); err != nil {
		remove()
		return nil, err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(fetchers)
	for _, f := range j.recipe.Fetch {
		g.Go(func() error { return j.fetchOne(ctx, f, filepath.Join(files, f.FileName())) })
	}
	if err := g.Wait(); err != nil {
		remove()
		return nil, fmt.Errorf("recipe %s: %w", j.recipe.Name, err)
	}
	j.files = files
	return remove, nil
}

// fetchOne puts one file at to, checked again: what lies in the downloads may have been damaged since.
func (j *job) fetchOne(ctx context.Context, f recipe.Fetch, to string) error {
	sum, err := pkg.ParseDigest(f.SHA256)
	if err != nil {
		return err
	}
	kept := filepath.Join(j.debs(), "file-"+f.SHA256)
	if _, err := os.Stat(kept); err != nil && j.Offline {
		return fmt.Errorf("%w: %s is not in %s", ErrOffline, f.URL, j.debs())
	}
	if err := os.MkdirAll(j.debs(), 0o700); err != nil {
		return err
	}
	if err := debian.FetchFile(ctx, f.URL, kept, f.Size, sum); err != nil {
		return err
	}
	if err := copyChecked(to, kept, sum); err != nil {
		return errors.Join(fmt.Errorf("%s: %w", f.URL, err), os.Remove(kept))
	}
	return nil
}

// copyChecked copies a file whose hash has to be sum.
func copyChecked(to, from string, sum pkg.Digest) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	h := sha256.New()
	_, err = io.Copy(io.MultiWriter(out, h), in)
	if err = errors.Join(err, out.Close()); err == nil && pkg.Digest(h.Sum(nil)) != sum {
		err = fmt.Errorf("%w: %s has sha256 %x, want %s", debian.ErrHash, from, h.Sum(nil), sum)
	}
	return err
}
