package contexts

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"ninefold/internal/record"
)

// CreateFilled makes a context of what new says of it: its owner and name, what it
// stands on, and its bound. fill, if not nil, fills the directory of its layers, in
// which the layer "1" is there, and may change new; the context is there when it
// has. Others make, rename and delete contexts meanwhile, but none of that name.
func (s *Store) CreateFilled(ctx context.Context, new Record, fill func(layers string, r *Record) error) (Record, error) {
	r := new
	fail := func(err error) (Record, error) {
		return r, fmt.Errorf("make the context %s: %w", new.Name, err)
	}
	if err := CheckName(new.Name); err != nil {
		return r, err
	}
	r.ID, r.Layer, r.Last = newID(), "1", 1
	making := filepath.Join(s.dir, newPrefix+r.ID)
	var lock *os.File
	// The lock says that it is not left by one that was killed, and the record whose
	// the name is.
	err := s.locked(func() (err error) {
		if err := errors.Join(s.free(r.Owner, r.Name, ""), s.room(r.Owner)); err != nil {
			return err
		}
		if err := os.Mkdir(making, 0o700); err != nil {
			return err
		}
		if lock, err = lockFile(filepath.Join(making, useLock), unix.LOCK_EX|unix.LOCK_NB); err != nil {
			return err
		}
		return kind.Write(filepath.Join(making, recordFile), r)
	})
	if lock != nil {
		defer lock.Close()
	}
	if err == nil {
		err = s.fill(ctx, making, &r, fill)
	}
	if err == nil {
		err = s.locked(func() error {
			// Read anew: somebody may have got the name by other means.
			if err := errors.Join(s.free(r.Owner, r.Name, r.ID), s.room(r.Owner)); err != nil {
				return err
			}
			if err := kind.Write(filepath.Join(making, recordFile), r); err != nil {
				return err
			}
			if err := os.Rename(making, s.Dir(r)); err != nil {
				return err
			}
			return record.SyncDir(s.dir)
		})
	}
	if err != nil {
		if lock != nil {
			err = errors.Join(err, removeAll(making))
		}
		return fail(err)
	}
	return r, nil
}

// fill makes the layers of a context that is being made in a directory.
func (s *Store) fill(ctx context.Context, making string, r *Record, f func(layers string, r *Record) error) error {
	layers := filepath.Join(making, layersDir)
	if r.Size > 0 {
		if err := makeDisk(ctx, making, r.Size, r.Layer); err != nil {
			return err
		}
	} else if err := os.MkdirAll(filepath.Join(layers, r.Layer), 0o700); err != nil {
		return err
	}
	if f == nil {
		return nil
	}
	if r.Size > 0 {
		if err := s.readyDisk(ctx, making); err != nil {
			return err
		}
	}
	if err := f(layers, r); err != nil {
		return err
	}
	return syncLayer(layers)
}

// room is ErrMany when owner has as many contexts as may be. What cannot be read is
// nobody's.
func (s *Store) room(owner uint32) error {
	if s.most == 0 {
		return nil
	}
	have, _ := s.List(owner, false)
	if len(have) < s.most {
		return nil
	}
	return fmt.Errorf("%w: uid %d has %d, and may have no more", ErrMany, owner, len(have))
}

// free is ErrExists when owner has a context of that name, or is having one made other
// than the one with the id except.
func (s *Store) free(owner uint32, name, except string) error {
	if _, err := s.Find(owner, name); err == nil {
		return ErrExists
	} else if !errors.Is(err, ErrNotFound) {
		return err
	}
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		var r Record
		id, ok := strings.CutPrefix(e.Name(), newPrefix)
		if !ok || id == except || kind.Read(filepath.Join(s.dir, e.Name(), recordFile), &r) != nil {
			continue
		}
		if r.Owner == owner && r.Name == name {
			return fmt.Errorf("%w: it is being made", ErrExists)
		}
	}
	return nil
}

// beingMade reports whether somebody is making a context in a directory.
func beingMade(dir string) bool {
	lock, err := os.OpenFile(filepath.Join(dir, useLock), os.O_RDWR|unix.O_NOFOLLOW, 0)
	if err != nil {
		return false
	}
	defer lock.Close()
	return errors.Is(unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB), unix.EWOULDBLOCK)
}
