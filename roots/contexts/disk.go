package contexts

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// A bounded context has its layers on a file system of its own, ext4 in a sparse
// file: what is full then is the context, and not the disk below. It is mounted at
// the first use and stays so until the context is deleted or the machine stops.

// ErrDisk says that the file system of a context cannot be had.
var ErrDisk = errors.New("the disk of the context cannot be had")

const (
	diskFile = "disk"
	diskLock = "disk.lock"
	// diskTimeout bounds what the programs that make and mount one may take.
	diskTimeout = time.Minute
)

// makeDisk makes the file system of a context in dir, with its first layer.
func makeDisk(ctx context.Context, dir string, size int64, layer string) error {
	name := filepath.Join(dir, diskFile)
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	if err := errors.Join(f.Truncate(size), f.Close()); err != nil {
		return err
	}
	seed := filepath.Join(dir, "seed")
	if err := os.MkdirAll(filepath.Join(seed, layer), 0o700); err != nil {
		return err
	}
	// The directory that it is filled from gives its root an owner and a mode.
	if err := program(ctx, "mkfs.ext4", "-q", "-F", "-m", "0", "-E", "lazy_itable_init=1,lazy_journal_init=1", "-d", seed, name); err != nil {
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
	if err := readyDisk(ctx, s.Dir(r)); err != nil {
		return fmt.Errorf("context %s: %w", r.Name, err)
	}
	return nil
}

// readyDisk mounts the file system of the context in dir.
func readyDisk(ctx context.Context, dir string) error {
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
	return program(ctx, "mount", "-t", "ext4", "-o", "loop,nosuid,nodev,noatime,discard", filepath.Join(dir, diskFile), at)
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
	ctx, cancel := context.WithTimeout(ctx, diskTimeout)
	defer cancel()
	for _, dir := range []string{"/usr/sbin", "/usr/bin", "/sbin", "/bin"} {
		path := filepath.Join(dir, name)
		if _, err := os.Stat(path); err != nil {
			continue
		}
		c := exec.CommandContext(ctx, path, args...)
		c.Env = []string{"LC_ALL=C", "PATH=/usr/sbin:/usr/bin:/sbin:/bin"}
		if out, err := c.CombinedOutput(); err != nil {
			return fmt.Errorf("%w: %s: %w: %.500s", ErrDisk, name, err, out)
		}
		return nil
	}
	return fmt.Errorf("%w: the machine has no %s", ErrDisk, name)
}

// diskUsed is what the file of a bounded context takes on the disk, in bytes.
func (s *Store) diskUsed(r Record) (int64, error) {
	var st unix.Stat_t
	name := filepath.Join(s.Dir(r), diskFile)
	if err := unix.Lstat(name, &st); err != nil {
		return 0, &os.PathError{Op: "stat", Path: name, Err: err}
	}
	return st.Blocks * 512, nil
}
