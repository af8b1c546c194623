package store

import (
	"context"
	"errors"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// beginWrite must come before a write that no fsync of its own covers, and
// s.ended.Add(1) after it. It makes sure that this process's marker lies in
// unsynced, durably, so that the next boot knows.
func (s *Store) beginWrite(ctx context.Context) error {
	s.begun.Add(1)
	if s.marked.Load() {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.marked.Load() {
		return nil
	}
	err := s.recoverLocked(ctx)
	if err == nil {
		err = s.mark()
	}
	if err != nil {
		s.ended.Add(1)
	}
	return err
}

// Unsynced runs f, which writes below the store without syncing. What it wrote
// is durable after the next Sync; until then nothing durable may refer to it.
func (s *Store) Unsynced(ctx context.Context, f func() error) error {
	if err := s.beginWrite(ctx); err != nil {
		return s.explain(err)
	}
	defer s.ended.Add(1)
	return f()
}

// mark makes the marker. A Sync of another process may take it away between
// creation and lock, hence the check.
func (s *Store) mark() error {
	for {
		f, err := os.OpenFile(s.path("unsynced", s.boot+"-"+randomName()), os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
		if err != nil {
			return err
		}
		ok, err := tryFlock(f, unix.LOCK_EX)
		if !ok && err == nil || err == nil && !linked(f) {
			f.Close()
			continue
		}
		if err == nil {
			err = errors.Join(f.Sync(), syncDir(s.path("unsynced")))
		}
		if err == nil {
			err = mkdir(s.path("pending", s.boot))
		}
		if err != nil {
			os.Remove(f.Name())
			f.Close()
			return err
		}
		s.marker = f
		s.marked.Store(true)
		return nil
	}
}

// Sync makes everything durable that has been written so far, by any process
// of this boot, and lets durable records refer to it.
func (s *Store) Sync() error {
	begun, ended := s.begun.Load(), s.ended.Load()
	s.mu.Lock()
	defer s.mu.Unlock()
	// What lies in pending now refers to what was written before.
	pending, err := names(s.path("pending", s.boot))
	if err != nil {
		return s.explain(err)
	}
	dead := s.deadMarkers()
	if len(pending) == 0 && len(dead) == 0 && s.marker == nil {
		return nil
	}
	if err := s.syncfs(); err != nil {
		return s.explain(err)
	}
	for _, name := range pending {
		if err := os.Rename(s.path("pending", s.boot, name), s.path("packages", name)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return s.explain(err)
		}
	}
	for _, path := range dead {
		os.Remove(path)
	}
	// Only if nothing was in flight and nothing has begun since is there nothing left to cover.
	if s.marker != nil && begun == ended && s.begun.Load() == begun {
		os.Remove(s.marker.Name())
		s.marker.Close()
		s.marker = nil
		s.marked.Store(false)
		if s.begun.Load() != begun {
			// A writer saw the old marker in this very moment: put one back before it returns.
			return s.explain(s.mark())
		}
	}
	return nil
}

// deadMarkers lists the markers of this boot whose processes are gone. What
// they wrote is in the page cache, so that a syncfs covers it.
func (s *Store) deadMarkers() []string {
	all, _ := names(s.path("unsynced"))
	var dead []string
	for _, name := range all {
		if !strings.HasPrefix(name, s.boot+"-") {
			continue
		}
		f, err := os.Open(s.path("unsynced", name))
		if err != nil {
			continue
		}
		if ok, _ := tryFlock(f, unix.LOCK_EX); ok {
			dead = append(dead, f.Name())
		}
		f.Close()
	}
	return dead
}

// recoverLocked drops, once for each process and before its first write, what another
// boot left uncovered: see the package comment. s.mu is held.
func (s *Store) recoverLocked(ctx context.Context) error {
	if s.recovered {
		return nil
	}
	foreign, err := s.foreignMarkers()
	if err != nil {
		return err
	}
	if len(foreign) > 0 {
		unlock, err := s.lockStore(ctx, unix.LOCK_EX)
		if err != nil {
			return err
		}
		defer unlock()
		if err := s.dropUncovered(ctx); err != nil {
			return err
		}
	}
	s.recovered = true
	return nil
}

func (s *Store) foreignMarkers() ([]string, error) {
	all, err := names(s.path("unsynced"))
	var foreign []string
	for _, name := range all {
		if !strings.HasPrefix(name, s.boot+"-") {
			foreign = append(foreign, s.path("unsynced", name))
		}
	}
	return foreign, err
}

// dropUncovered runs under the exclusive lock. It can be interrupted and run again: the markers
// go last.
func (s *Store) dropUncovered(ctx context.Context) error {
	foreign, err := s.foreignMarkers()
	if err != nil || len(foreign) == 0 {
		return err
	}
	boots, err := names(s.path("pending"))
	if err != nil {
		return err
	}
	for _, boot := range boots {
		if boot != s.boot {
			if err := removeTree(s.path("pending", boot)); err != nil {
				return err
			}
		}
	}
	packages, err := s.packageIDs()
	if err != nil {
		return err
	}
	live, err := s.objectsOf(ctx, packages)
	if err != nil {
		return err
	}
	if _, _, err := s.sweepObjects(ctx, live); err != nil {
		return err
	}
	// Farms are whole, because they are named after a Sync; what no farm links
	// to is in doubt.
	if _, err := s.sweep(ctx); err != nil {
		return err
	}
	if err := s.sweepFarmObjects(); err != nil {
		return err
	}
	for _, path := range foreign {
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return nil
}

// names lists a directory; a missing one is empty.
func names(dir string) ([]string, error) {
	f, err := os.Open(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return f.Readdirnames(-1)
}
