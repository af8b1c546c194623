package build

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"

	"golang.org/x/sync/errgroup"

	"ninefold/internal/regular"
	"ninefold/roots/debian"
	"ninefold/roots/languages"
	"ninefold/roots/recipe"
)

// lockedFiles is what one lock file of a language asks for.
type lockedFiles struct {
	name string // of the directory in recipe.FetchedDir
	plan *languages.Plan
	// words is what it stands for: its hash, and that of the file beside it.
	words string
}

// languageLocks reads the lock files that the recipe names, before anything is done for it.
func (j *job) languageLocks() error {
	for _, f := range j.recipe.Fetch {
		if f.Lock == "" {
			continue
		}
		text, err := regular.Read(f.Lock, languages.MaxLock)
		if err != nil {
			return fmt.Errorf("%w: %w", languages.ErrLock, err)
		}
		one := lockedFiles{name: f.FileName(), words: fmt.Sprintf("%s %x", f.FileName(), sha256.Sum256(text))}
		if one.plan, err = languages.Read(f.Lock, text, f.URL, path.Join(recipe.FetchedDir, one.name)); err != nil {
			return err
		}
		beside := languages.Beside(f.Lock)
		text, err = regular.Read(filepath.Join(filepath.Dir(f.Lock), beside), languages.MaxLock)
		switch {
		case err == nil:
			one.plan.Texts[beside] = text
			one.words += fmt.Sprintf(" %x", sha256.Sum256(text))
		case !errors.Is(err, fs.ErrNotExist):
			return fmt.Errorf("%w: %w", languages.ErrLock, err)
		}
		j.locked = append(j.locked, one)
	}
	return nil
}

// lay puts what a lock file names into a directory of its own in files.
func (l *lockedFiles) lay(ctx context.Context, j *job, files string) error {
	dir := filepath.Join(files, l.name)
	for name, text := range l.plan.Texts {
		to := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(to), 0o755), os.WriteFile(to, text, 0o644)); err != nil {
			return err
		}
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(fetchers)
	for _, f := range l.plan.Files {
		g.Go(func() error {
			if err := j.fetchLocked(ctx, f, filepath.Join(dir, f.Path)); err != nil {
				return fmt.Errorf("%s: %w", f.Package, err)
			}
			return nil
		})
	}
	return g.Wait()
}

// fetchLocked puts one file at to, checked again: what lies in the downloads may have been damaged since.
func (j *job) fetchLocked(ctx context.Context, f languages.File, to string) error {
	kept := filepath.Join(j.debs(), "file-"+f.Sum.String())
	if _, err := os.Stat(kept); err != nil && j.Offline {
		return fmt.Errorf("%w: %s is not in %s", ErrOffline, f.URL, j.debs())
	}
	if err := debian.FetchChecked(ctx, f.URL, kept, languages.MaxFile, f.Sum.Check); err != nil {
		if errors.Is(err, debian.ErrGone) {
			err = fmt.Errorf("%w: %w", languages.ErrGone, err)
		}
		return err
	}
	in, err := os.Open(kept)
	if err != nil {
		return err
	}
	defer in.Close()
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	out, err := os.OpenFile(to, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	defer out.Close()
	size, err := io.Copy(out, in)
	if err != nil {
		return err
	}
	// What was written is what is looked at.
	if err := f.Sum.Check(out, size); err != nil {
		return errors.Join(fmt.Errorf("%s: %w", kept, err), os.Remove(kept))
	}
	return nil
}
