package store

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"ninefold/internal/progress"
	"ninefold/roots/image"
)

const buildLock = "build."

// Build says that this process builds the image called name, until release is
// called or it dies. One process builds a name at a time; collections wait for all.
// Waiting ends with ctx, with an error that wraps ErrBusy and names the process.
func (s *Store) Build(ctx context.Context, name string) (release func(), err error) {
	if !image.ValidName(name) {
		return nil, fmt.Errorf("build of %q: want a-z, 0-9, dot, dash and underscore, beginning with a letter or digit", name)
	}
	s.mu.Lock()
	err = s.recoverLocked(ctx)
	s.mu.Unlock()
	if err != nil {
		return nil, s.explain(err)
	}
	// The name comes first: who waits for it must not hold up a collection.
	own, err := s.lockFile(ctx, buildLock+name, unix.LOCK_EX)
	if err != nil {
		return nil, s.explain(fmt.Errorf("build of %s%s: %w", name, s.builders(name), err))
	}
	if err := note(own); err != nil {
		own.Close()
		return nil, s.explain(err)
	}
	unlock, err := s.lockStore(ctx, unix.LOCK_SH)
	if err != nil {
		own.Close()
		return nil, s.explain(fmt.Errorf("build of %s, while unused images are collected: %w", name, err))
	}
	if _, err := s.sweep(ctx); err != nil {
		unlock()
		own.Close()
		return nil, s.explain(err)
	}
	return sync.OnceFunc(func() { unlock(); own.Close() }), nil
}

// note writes the process id into a lock file, for error messages.
func note(f *os.File) error {
	if err := f.Truncate(0); err != nil {
		return err
	}
	_, err := f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	return err
}

// lockFile locks a file of locks. It is never removed, so that all lock the same one.
func (s *Store) lockFile(ctx context.Context, name string, how int) (*os.File, error) {
	f, err := os.OpenFile(s.path("locks", name), os.O_CREATE|os.O_RDWR|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, err
	}
	if free, err := tryFlock(f, how); free && err == nil {
		return f, nil
	}
	s.sink.Update(progress.Update{Stage: "wait", Item: strings.Trim(s.builders(""), " ()")})
	defer s.sink.Update(progress.Update{Stage: "wait", End: true})
	if err := flock(ctx, f, how); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// lockStore takes the lock that builds share and that a collection has alone.
func (s *Store) lockStore(ctx context.Context, how int) (unlock func(), err error) {
	f, err := s.lockFile(ctx, "store", how)
	if err != nil {
		return nil, err
	}
	return func() { f.Close() }, nil
}

// builders says in words which processes build right now; with a name, who
// builds that.
func (s *Store) builders(only string) string {
	all, _ := names(s.path("locks"))
	slices.Sort(all)
	var who []string
	for _, name := range all {
		built, ok := strings.CutPrefix(name, buildLock)
		if !ok || only != "" && built != only {
			continue
		}
		f, err := os.Open(s.path("locks", name))
		if err != nil {
			continue
		}
		if free, _ := tryFlock(f, unix.LOCK_SH); !free {
			b := make([]byte, 32)
			n, _ := f.Read(b)
			who = append(who, fmt.Sprintf("process %s builds %s", strings.TrimSpace(string(b[:n])), built))
		}
		f.Close()
	}
	if len(who) == 0 {
		return ""
	}
	return " (" + strings.Join(who, ", ") + ")"
}
