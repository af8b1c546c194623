package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// tempFile makes a file in tmp that is locked as long as it is open. What is
// not locked there belongs to nobody any more.
func (s *Store) tempFile() (*os.File, error) {
	for range 100 {
		f, err := os.OpenFile(s.path("tmp", "f."+randomName()), os.O_CREATE|os.O_EXCL|os.O_RDWR|unix.O_NOFOLLOW, 0o600)
		if err != nil {
			return nil, err
		}
		ok, err := tryFlock(f, unix.LOCK_EX)
		if ok && linked(f) {
			return f, nil
		}
		f.Close()
		if err != nil {
			os.Remove(f.Name())
			return nil, err
		}
	}
	return nil, fmt.Errorf("%w: temporary files are taken away at once", ErrBusy)
}

// TempDir makes a directory, 0700, on the store's file system and returns its
// name and what removes it. If the process dies, the next Build or GC removes it.
// The remover refuses to go into anything mounted below.
func (s *Store) TempDir(prefix string) (string, func(), error) {
	if strings.ContainsAny(prefix, "/\x00") {
		return "", nil, fmt.Errorf("temporary directory: prefix %q is no file name", prefix)
	}
	for range 100 {
		path := s.path("tmp", prefix+"."+randomName())
		if err := os.Mkdir(path, 0o700); err != nil {
			return "", nil, s.explain(err)
		}
		f, err := os.Open(path)
		if err != nil {
			continue // swept before it could be locked
		}
		ok, err := tryFlock(f, unix.LOCK_SH)
		if ok && linked(f) {
			return path, func() {
				removeTree(path) // what stays is swept later
				f.Close()
			}, nil
		}
		f.Close()
		if err != nil {
			return "", nil, s.explain(err)
		}
	}
	return "", nil, s.explain(fmt.Errorf("%w: temporary directories are taken away at once", ErrBusy))
}

// sweep removes from tmp what dead processes left, and returns how many things.
func (s *Store) sweep(ctx context.Context) (int, error) {
	entries, err := os.ReadDir(s.path("tmp"))
	if err != nil {
		return 0, err
	}
	n := 0
	for _, e := range entries {
		if err := ctx.Err(); err != nil {
			return n, err
		}
		path := s.path("tmp", e.Name())
		f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
		if err != nil {
			continue
		}
		ok, err := tryFlock(f, unix.LOCK_EX)
		if ok && err == nil {
			if err = removeTree(path); err == nil {
				n++
			}
		}
		f.Close()
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// removeTree removes path and what is below it. It works on descriptors, never
// follows a symbolic link and never enters another mount: a file system that is
// mounted in a forgotten directory keeps its content.
func removeTree(path string) error {
	parent, name := splitPath(path)
	fd, err := unix.Open(parent, unix.O_DIRECTORY|unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("remove %s: %w", path, err)
	}
	defer unix.Close(fd)
	mount, err := mountOf(fd, "", unix.AT_EMPTY_PATH)
	if err == nil {
		err = removeAt(fd, name, mount, 0)
	}
	if err != nil && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("remove %s: %w", path, err)
	}
	return nil
}

// maxDepth bounds the recursion; no path of the kernel's is deeper (PATH_MAX / 2).
const maxDepth = 4096

func removeAt(dir int, name string, mount uint64, depth int) error {
	err := unix.Unlinkat(dir, name, 0)
	if err == nil || !errors.Is(err, unix.EISDIR) && !errors.Is(err, unix.EPERM) && !errors.Is(err, unix.EBUSY) {
		return err
	}
	here, err := mountOf(dir, name, unix.AT_SYMLINK_NOFOLLOW)
	if err != nil {
		return err
	}
	if here != mount || depth > maxDepth {
		return fmt.Errorf("%s is a mount point: %w", name, unix.EBUSY)
	}
	fd, err := unix.Openat(dir, name, unix.O_DIRECTORY|unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	f := os.NewFile(uintptr(fd), name)
	defer f.Close()
	names, err := f.Readdirnames(-1)
	if err != nil {
		return err
	}
	for _, n := range names {
		if e := removeAt(fd, n, mount, depth+1); e != nil && !errors.Is(e, unix.ENOENT) {
			err = errors.Join(err, e)
		}
	}
	if err != nil {
		return err
	}
	return unix.Unlinkat(dir, name, unix.AT_REMOVEDIR)
}

// mountOf identifies the mount that a name lies on (STATX_MNT_ID, Linux 5.8).
// Without automounting, so that looking changes nothing.
func mountOf(dir int, name string, flags int) (uint64, error) {
	var st unix.Statx_t
	err := unix.Statx(dir, name, flags|unix.AT_NO_AUTOMOUNT, unix.STATX_MNT_ID, &st)
	return st.Mnt_id, err
}

func splitPath(path string) (parent, name string) {
	i := strings.LastIndexByte(path, '/')
	return path[:i+1], path[i+1:]
}
