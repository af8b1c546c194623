package contexts

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"ninefold/namespaces/kernel"
)

// The errors of Resize that a caller tells apart.
var (
	// ErrBoundless says that a context has no bound of its own.
	ErrBoundless = errors.New("it has no bound of its own: the disk is its bound")
	// ErrSmaller says that a context may take more than that already.
	ErrSmaller = errors.New("it may take more than that already, and ext4 does not shrink while it is in use")
	// ErrCannotGrow says that this process may not have a file system grow.
	ErrCannotGrow = errors.New("this machine does not let a file system grow: CAP_SYS_RESOURCE is missing")
)

// Resize lets a bounded context take size bytes, which is no less than it may take,
// while somebody is in it, too. First its file grows, which takes nothing of the disk, then the
// file system in it, and the record says so last: one that is killed, or whose ctx ends,
// can be done again.
func (s *Store) Resize(ctx context.Context, r Record, size int64) error {
	err := s.resize(ctx, r, size)
	if errors.Is(err, fs.ErrNotExist) {
		if _, gone := os.Stat(s.Dir(r)); errors.Is(gone, fs.ErrNotExist) {
			err = ErrNotFound
		}
	}
	if err != nil {
		err = fmt.Errorf("resize the context %s: %w", r.Name, err)
	}
	return err
}

func (s *Store) resize(ctx context.Context, r Record, size int64) error {
	// Not the lock of the disk: whoever enters meanwhile does not wait.
	lock, err := lockFile(filepath.Join(s.Dir(r), "size.lock"), unix.LOCK_EX)
	if err != nil {
		return err
	}
	defer lock.Close()
	now, err := s.read(r.ID)
	switch {
	case err != nil:
		return err
	case now.Size == 0:
		return ErrBoundless
	case size < now.Size:
		return ErrSmaller
	case size == now.Size:
		return nil
	case !kernel.MayGrowDisk():
		return ErrCannotGrow
	}
	if err := s.Ready(ctx, now); err != nil {
		return err
	}
	if err := growDisk(ctx, s.Dir(now), size); err != nil {
		return err
	}
	return s.Update(now, func(r *Record) error { r.Size = size; return nil })
}

// growDisk grows the file of the context in dir, which is mounted, and the file system in it.
func growDisk(ctx context.Context, dir string, size int64) error {
	file, err := os.OpenFile(filepath.Join(dir, diskFile), os.O_RDWR|unix.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	defer file.Close()
	was, err := file.Stat()
	if err != nil {
		return err
	}
	if was.Size() < size {
		// On the disk before the file system: one that is larger than its file is not mounted.
		if err := errors.Join(file.Truncate(size), file.Sync()); err != nil {
			return err
		}
	}
	layers, err := os.OpenFile(filepath.Join(dir, layersDir), os.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	defer layers.Close()
	err = kernel.GrowDisk(ctx, kernel.FD(layers.Fd()), kernel.FD(file.Fd()), size)
	if errors.Is(err, unix.EINVAL) && was.Size() > size {
		return fmt.Errorf("%w, since it was to have %d bytes and that was stopped: %w", ErrSmaller, was.Size(), err)
	}
	return err
}
