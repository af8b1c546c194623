package build

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"ninefold/roots/debian"
	"ninefold/roots/lock"
)

// lockFile reads the recipe's lock, or makes it when there is none or
// Options.Relock asks for it. A lock that answers another question than the
// recipe asks is an error: building never changes versions by itself.
func (j *job) lockFile(ctx context.Context) error {
	start := time.Now()
	defer func() { j.image.timed("lock", start) }()
	var known *lock.Lock
	if !j.Relock {
		var err error
		if known, err = j.findLock(); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if err := j.standOn(known); err != nil {
		return err
	}
	q, err := debian.NewQuestion(j.chain, j.locks)
	if err != nil {
		return err
	}
	q.Parent = append(slices.Clone(j.below), q.Parent...)
	if known != nil {
		if err := known.Check(q); err != nil {
			return err
		}
		j.lock = known
		return nil
	}
	if j.Offline && (len(q.Packages) > 0 || q.Root) {
		return fmt.Errorf("%w: recipe %s has to be locked", ErrOffline, j.recipe.Name)
	}
	if err := os.MkdirAll(j.apt(), 0o700); err != nil {
		return err
	}
	l, err := debian.Solve(ctx, q, debian.Options{Dir: j.apt(), Root: j.Root, Sink: j.Progress})
	if err != nil {
		return err
	}
	if len(j.chain) == 1 && j.chain.OnImage() != "" {
		l.Parent = j.parent
	}
	if len(j.Locks) > 0 {
		if err := os.MkdirAll(j.Locks[0], 0o755); err != nil {
			return err
		}
		if err := lock.Write(j.lockPath(j.Locks[0]), l); err != nil {
			return err
		}
	}
	j.lock, j.image.Locked = l, true
	return nil
}

func (j *job) lockPath(dir string) string { return filepath.Join(dir, j.recipe.Name+".lock") }

func (j *job) findLock() (*lock.Lock, error) {
	for _, dir := range j.Locks {
		l, err := lock.Read(j.lockPath(dir))
		if !errors.Is(err, fs.ErrNotExist) {
			return l, err
		}
	}
	return nil, fs.ErrNotExist
}
