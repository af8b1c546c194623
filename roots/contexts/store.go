// Package contexts keeps host contexts: named layers over the running machine
// to try things in. A context is a directory with a record and layers. Changes
// are made aside and named by the record last, so that one that is killed at
// any moment leaves the old state or the new one, and at most a directory that
// nothing names, which the next change removes.
package contexts

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"ninefold/internal/record"
)

// The errors a caller tells apart.
var (
	ErrNotFound = errors.New("there is no such context")
	ErrExists   = errors.New("a context of that name exists")
	// ErrInUse says that somebody is in the context, or is changing it.
	ErrInUse = errors.New("the context is in use")
	// ErrMany says that a user has as many contexts as one user may.
	ErrMany = errors.New("no more contexts")
	// ErrNothing says that there is no state to go back or forth to.
	ErrNothing = errors.New("there is no such state")
)

// Store is a directory of contexts, which root alone can enter: what is setuid
// in a context is within nobody's reach outside.
type Store struct {
	dir  string
	most int // contexts of one user; 0 does not bound
	// mounts opens the mount namespace where disks are mounted; nil is the caller's.
	mounts func() (*os.File, error)
}

// On returns the contexts in a state directory. Nothing is made before Create.
func On(state string) *Store { return &Store{dir: filepath.Join(state, "contexts")} }

// AtMost returns s for a user who may have that many contexts.
func (s *Store) AtMost(most int) *Store {
	other := *s
	other.most = most
	return &other
}

// MountingIn returns s for a caller in a mount namespace that receives the mounts of
// another one, and that nobody sees into: disks of contexts are mounted in that one, which
// mounts opens, and where who deletes a context lets go of its disk.
func (s *Store) MountingIn(mounts func() (*os.File, error)) *Store {
	other := *s
	other.mounts = mounts
	return &other
}

const (
	recordFile = "record"
	useLock    = "use.lock"
	layersDir  = "layers"
	newPrefix  = ".new-"
	gonePrefix = ".gone-"
)

// Dir is where the context lies.
func (s *Store) Dir(r Record) string { return filepath.Join(s.dir, r.ID) }

// LayerDir is where one of its layers lies, as namespaces lays them out.
func (s *Store) LayerDir(r Record, layer string) string {
	return filepath.Join(s.dir, r.ID, layersDir, layer)
}

// List returns the contexts of owner, or with all those of everybody, by name.
// What cannot be read is in the error, and does not keep the others back.
func (s *Store) List(owner uint32, all bool) ([]Record, error) {
	entries, err := os.ReadDir(s.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var out []Record
	var broken error
	for _, e := range entries {
		if !e.IsDir() || strings.HasPrefix(e.Name(), ".") {
			continue
		}
		r, err := s.read(e.Name())
		if errors.Is(err, fs.ErrNotExist) {
			continue // deleted meanwhile
		}
		if err != nil {
			broken = errors.Join(broken, err)
			continue
		}
		if all || r.Owner == owner {
			out = append(out, r)
		}
	}
	slices.SortFunc(out, func(a, b Record) int { return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Owner, b.Owner)) })
	return out, broken
}

func (s *Store) read(id string) (r Record, err error) {
	if err := kind.Read(filepath.Join(s.dir, id, recordFile), &r); err != nil {
		return r, fmt.Errorf("context %s: %w", id, err)
	}
	if r.ID != id || CheckName(r.Name) != nil || !isLayer(r.Layer) {
		return r, fmt.Errorf("context %s: %w: it speaks of another one", id, record.ErrDamaged)
	}
	return r, nil
}

// Find returns the context of owner called name.
func (s *Store) Find(owner uint32, name string) (Record, error) {
	if err := CheckName(name); err != nil {
		return Record{}, err
	}
	all, broken := s.List(owner, false)
	for _, r := range all {
		if r.Name == name {
			return r, nil
		}
	}
	// Perhaps it is one of those that cannot be read.
	return Record{}, errors.Join(fmt.Errorf("context %s: %w", name, ErrNotFound), broken)
}

// Create makes a context with an empty layer. With a size in bytes it is
// bounded to that, if mkfs.ext4 can make a file system of it.
func (s *Store) Create(ctx context.Context, owner uint32, name string, size int64, stands Stands, now time.Time) (Record, error) {
	return s.CreateFilled(ctx, Record{Name: name, Owner: owner, Created: now, Stands: stands, Size: size}, nil)
}

// Rename gives a context another name. It may be in use.
func (s *Store) Rename(r Record, name string) error {
	if err := CheckName(name); err != nil {
		return err
	}
	return s.locked(func() error {
		if err := s.free(r.Owner, name, ""); err != nil {
			return fmt.Errorf("rename the context %s to %s: %w", r.Name, name, err)
		}
		return s.Update(r, func(r *Record) error { r.Name = name; return nil })
	})
}

// Update changes the record of a context. It waits for another change of the
// record, which takes no time.
func (s *Store) Update(r Record, change func(*Record) error) error {
	lock, err := lockFile(filepath.Join(s.Dir(r), "record.lock"), unix.LOCK_EX)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("context %s: %w", r.Name, ErrNotFound)
	}
	if err != nil {
		return err
	}
	defer lock.Close()
	now, err := s.read(r.ID)
	if err != nil {
		return err
	}
	if err := change(&now); err != nil {
		return err
	}
	return kind.Write(filepath.Join(s.Dir(r), recordFile), now)
}

// Delete removes a context for good, or is ErrStood. The caller has claimed it.
func (s *Store) Delete(r Record) error {
	if err := s.Unstood(r, ""); err != nil {
		return err
	}
	gone := filepath.Join(s.dir, gonePrefix+r.ID)
	err := s.locked(func() error {
		if err := os.Rename(s.Dir(r), gone); err != nil {
			return err
		}
		return record.SyncDir(s.dir)
	})
	if err == nil {
		err = removeAll(gone)
	}
	if err != nil {
		return fmt.Errorf("delete the context %s: %w", r.Name, err)
	}
	return nil
}

// locked runs f while nobody else makes, renames or deletes a context. What a
// killed one left is removed first.
func (s *Store) locked(f func() error) error {
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return err
	}
	lock, err := lockFile(filepath.Join(s.dir, ".lock"), unix.LOCK_EX)
	if err != nil {
		return err
	}
	defer lock.Close()
	left, err := os.ReadDir(s.dir)
	if err != nil {
		return err
	}
	for _, e := range left {
		dir := filepath.Join(s.dir, e.Name())
		if strings.HasPrefix(e.Name(), gonePrefix) || strings.HasPrefix(e.Name(), newPrefix) && !beingMade(dir) {
			if err := removeAll(dir); err != nil {
				return err
			}
		}
	}
	return f()
}

// lockFile opens a file and locks it; the lock goes with the file. With LOCK_NB
// it is ErrInUse when somebody else has it.
func lockFile(name string, how int) (*os.File, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, err
	}
	for {
		if err = unix.Flock(int(f.Fd()), how); !errors.Is(err, unix.EINTR) {
			break
		}
	}
	if errors.Is(err, unix.EWOULDBLOCK) {
		err = ErrInUse
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

func newID() string {
	var b [6]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// isLayer keeps a record from naming anything but a directory of its own.
func isLayer(name string) bool {
	if name == "" || len(name) > 9 || name[0] == '0' {
		return false
	}
	return strings.Trim(name, "0123456789") == ""
}
