package contexts

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"ninefold/internal/diskfile"
	"ninefold/namespaces/kernel"
)

// A bounded context has its layers on a file system of its own, ext4 in a sparse
// file: what is full then is the context, and not the disk below. It is mounted at
// the first use and stays so until the context is deleted or the machine stops.

// ErrDisk says that the file system of a context cannot be had.
var ErrDisk = errors.New("the disk of the context cannot be had")

const (
	diskFile = "disk"
	diskLock = "disk.lock"
)

// makeDisk makes the file system of a context in dir, with its first layer.
func makeDisk(ctx context.Context, dir string, size int64, layer string) error {
	seed := filepath.Join(dir, "seed")
	if err := os.MkdirAll(filepath.Join(seed, layer), 0o700); err != nil {
		return err
	}
	if err := noDisk(diskfile.Make(ctx, filepath.Join(dir, diskFile), size, seed)); err != nil {
		return err
	}
	return errors.Join(os.RemoveAll(seed), os.Mkdir(filepath.Join(dir, layersDir), 0o700))
}

// Ready makes the layers of a context reachable. It is for whoever reads them
// without having claimed the context.
func (s *Store) Ready(ctx context.Context, r Record) error {
	if r.Size == 0 {
		return nil
	}
	if err := s.readyDisk(ctx, s.Dir(r)); err != nil {
		return fmt.Errorf("context %s: %w", r.Name, err)
	}
	return nil
}

// readyDisk mounts the file system of the context in dir.
func (s *Store) readyDisk(ctx context.Context, dir string) error {
	lock, err := lockFile(filepath.Join(dir, diskLock), unix.LOCK_EX)
	if err != nil {
		return err
	}
	defer lock.Close()
	at := filepath.Join(dir, layersDir)
	mounted, err := isMountPoint(at)
	if err != nil || mounted {
		return err
	}
	// mount(8) finds a loop device that the file is on already: one for another
	// namespace of mounts. Two would ruin it. Nothing setuid counts outside.
	mount := func() error {
		return program(ctx, "mount", "-t", "ext4", "-o", "loop,nosuid,nodev,noatime,discard", filepath.Join(dir, diskFile), at)
	}
	if s.mounts == nil {
		return mount()
	}
	host, err := s.mounts()
	if err != nil {
		return err
	}
	defer host.Close()
	return kernel.InMountNamespace(kernel.FD(host.Fd()), mount)
}

func isMountPoint(dir string) (bool, error) {
	var at, above unix.Stat_t
	if err := errors.Join(unix.Lstat(dir, &at), unix.Lstat(filepath.Dir(dir), &above)); err != nil {
		return false, &os.PathError{Op: "stat", Path: dir, Err: err}
	}
	return at.Dev != above.Dev, nil
}

// unmountDisk lets go of the file system of the context in dir, if it is mounted.
// The loop device goes with it.
func unmountDisk(dir string) error {
	at := filepath.Join(dir, layersDir)
	if mounted, err := isMountPoint(at); errors.Is(err, unix.ENOENT) || err == nil && !mounted {
		return nil
	}
	return program(context.Background(), "umount", "--lazy", "--no-canonicalize", at)
}

// removeAll removes the directory of a context.
func removeAll(dir string) error {
	if err := errors.Join(thaw(dir), unmountDisk(dir)); err != nil {
		return err
	}
	return os.RemoveAll(dir)
}

// program runs one of the machine's programs; what it writes is in the error.
func program(ctx context.Context, name string, args ...string) error {
	return noDisk(diskfile.Run(ctx, name, args...))
}

func noDisk(err error) error {
	if errors.Is(err, diskfile.ErrProgram) {
		err = fmt.Errorf("%w: %w", ErrDisk, err)
	}
	return err
}

// diskUsed is what the file of a bounded context takes on the disk, in bytes.
func (s *Store) diskUsed(r Record) (int64, error) {
	return diskfile.Used(filepath.Join(s.Dir(r), diskFile))
}
