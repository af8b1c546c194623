package build

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"ninefold/roots/debian"
	"ninefold/roots/pkg"
	"ninefold/roots/recipe"
)

// fetched are the recipe's files in words: a name and what it stands for.
func (j *job) fetched() []string {
	var words []string
	for _, f := range j.recipe.Fetch {
		if f.Lock == "" {
			words = append(words, f.FileName()+" "+f.SHA256)
		}
	}
	for _, l := range j.locked {
		words = append(words, l.words)
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
	if err := errors.Join(j.layFetched(ctx, files), uniform(files, j.lock.Date())); err != nil {
		remove()
		return nil, fmt.Errorf("recipe %s: %w", j.recipe.Name, err)
	}
	j.files = files
	return remove, nil
}

func (j *job) layFetched(ctx context.Context, files string) error {
	if err := os.MkdirAll(j.debs(), 0o700); err != nil {
		return err
	}
	g, each := errgroup.WithContext(ctx)
	g.SetLimit(fetchers)
	for _, f := range j.recipe.Fetch {
		if f.Lock == "" {
			g.Go(func() error { return j.fetchOne(each, f, filepath.Join(files, f.FileName())) })
		}
	}
	if err := g.Wait(); err != nil {
		return err
	}
	for _, l := range j.locked {
		if err := l.lay(ctx, j, files); err != nil {
			return err
		}
	}
	return nil
}

// uniform gives what is in dir, which nobody else can change, the modes that every user can read and one
// time, so that a command that keeps them makes the same whatever umask and clock are.
func uniform(dir string, seconds int64) error {
	return filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		mode := fs.FileMode(0o644)
		if d.IsDir() {
			mode = 0o755
		}
		at := time.Unix(seconds, 0)
		return errors.Join(os.Chmod(name, mode), os.Chtimes(name, at, at))
	})
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
