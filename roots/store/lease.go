package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"ninefold/roots/image"
)

// leaseWait is how long a lease may wait for a collection that is just about
// to take the image: it holds the lock for the removal of one record.
const leaseWait = 5 * time.Second

// Lease keeps an image, its ancestors and everything they refer to from being
// collected, until Close or the death of the process.
type Lease struct {
	ID image.ID
	f  *os.File
}

// Close ends the lease. Closing twice is fine.
func (l *Lease) Close() error {
	if l == nil || l.f == nil {
		return nil
	}
	f := l.f
	l.f = nil
	return f.Close()
}

// File is what the lease is held by: it holds for as long as any copy of the
// descriptor is open, in whatever process. It stays the lease's.
func (l *Lease) File() *os.File { return l.f }

// Lease takes a lease of image id: a shared flock on a file that was made with
// the image, so that it also works on a full or read-only file system.
//
// GC removes a record only while it holds the lock alone, and removes the file
// with it. So after the lock is taken and the file is still linked, a
// record that is there stays.
func (s *Store) Lease(id image.ID) (*Lease, error) {
	ctx, cancel := context.WithTimeout(context.Background(), leaseWait)
	defer cancel()
	for {
		f, err := os.OpenFile(s.leasePath(id), os.O_RDONLY|unix.O_NOFOLLOW, 0)
		if errors.Is(err, os.ErrNotExist) {
			return nil, fmt.Errorf("image %s: %w", id.Short(), ErrNotFound)
		}
		if err != nil {
			return nil, s.explain(err)
		}
		if err := flock(ctx, f, unix.LOCK_SH); err != nil {
			f.Close()
			return nil, s.explain(fmt.Errorf("lease of image %s: %w", id.Short(), err))
		}
		if !linked(f) {
			f.Close()
			continue
		}
		if !s.HasImage(id) {
			f.Close()
			return nil, fmt.Errorf("image %s: %w", id.Short(), ErrNotFound)
		}
		return &Lease{ID: id, f: f}, nil
	}
}

func (s *Store) leasePath(id image.ID) string { return s.path("leases", id.String()) }

func (s *Store) makeLeaseFile(id image.ID) error {
	f, err := os.OpenFile(s.leasePath(id), os.O_CREATE|os.O_RDONLY|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(f.Close(), syncDir(s.path("leases")))
}

// claim locks image id's lease file alone, for its removal. It returns nil if
// somebody holds a lease.
func (s *Store) claim(id image.ID) (*os.File, error) {
	f, err := os.OpenFile(s.leasePath(id), os.O_CREATE|os.O_RDONLY|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, err
	}
	ok, err := tryFlock(f, unix.LOCK_EX)
	if ok && err == nil {
		return f, nil
	}
	f.Close()
	return nil, err
}
