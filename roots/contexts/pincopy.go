package contexts

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// NoRoomError says that a copy of the machine does not fit on a disk.
type NoRoomError struct{ Needs, Free int64 } // bytes

func (e *NoRoomError) Error() string {
	return fmt.Sprintf("the copy of the machine takes %d MiB, and the disk has %d MiB to spare", e.Needs>>20, e.Free>>20)
}

// Copy makes the pin in a directory that is not there yet, one below "layers".
// Where the disk can, it shares what it holds with the machine's; else it is a
// NoRoomError when that would take more than nine tenths of what is free. It tells
// tell, if not nil, beforehand how many bytes are copied, 0 when they are shared.
func (p Pin) Copy(ctx context.Context, layers, pin string, tell func(bytes int64)) error {
	to := filepath.Join(layers, pin, tree)
	if err := os.MkdirAll(to, 0o700); err != nil {
		return err
	}
	c := &pinner{to: to, linked: map[[2]uint64]string{}}
	needs, err := p.Size(ctx)
	if err != nil {
		return err
	}
	if c.shares(filepath.Join(p.Root, "/etc/passwd")) {
		needs = 0
	}
	var fs unix.Statfs_t
	if err := unix.Statfs(to, &fs); err != nil {
		return &os.PathError{Op: "statfs", Path: to, Err: err}
	}
	if free := int64(fs.Bavail) * fs.Bsize / 10 * 9; needs > free {
		return &NoRoomError{needs, free}
	}
	if tell != nil {
		tell(needs)
	}
	if err := p.walk(ctx, c.copy); err != nil {
		return fmt.Errorf("copy the machine: %w", err)
	}
	// What is made in a directory changes its times.
	for _, d := range slices.Backward(c.dirs) {
		if err := unix.UtimesNanoAt(unix.AT_FDCWD, d.at, []unix.Timespec{d.mtime, d.mtime}, unix.AT_SYMLINK_NOFOLLOW); err != nil {
			return err
		}
	}
	return syncLayer(to)
}

// pinner copies files into a directory that nobody else writes to.
type pinner struct {
	to     string
	linked map[[2]uint64]string // of files with several names, by device and inode
	dirs   []pinnedDir
}

type pinnedDir struct {
	at    string
	mtime unix.Timespec
}

// shares reports whether a file of the machine's can be had without copying it.
func (c *pinner) shares(name string) bool {
	f, err := os.Open(name)
	if err != nil {
		return false
	}
	defer f.Close()
	probe := filepath.Join(c.to, ".probe")
	t, err := os.OpenFile(probe, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return false
	}
	defer os.Remove(probe)
	defer t.Close()
	return unix.IoctlFileClone(int(t.Fd()), int(f.Fd())) == nil
}

func (c *pinner) copy(name string, dir *os.File, base string, st *unix.Stat_t) error {
	to := filepath.Join(c.to, name)
	n := node{exists: true, mode: st.Mode, uid: st.Uid, gid: st.Gid, mtime: st.Mtim}
	if n.attributed() {
		var err error
		if n.attributes, err = attributesAt(int(dir.Fd()), base, 0); err != nil {
			return err
		}
	}
	switch n.kind() {
	case unix.S_IFDIR:
		if err := os.Mkdir(to, 0o700); err != nil && name != "/" {
			return err
		}
		c.dirs = append(c.dirs, pinnedDir{to, st.Mtim})
	case unix.S_IFLNK:
		text, err := readlink(int(dir.Fd()), base)
		if err != nil {
			return err
		}
		if err := os.Symlink(text, to); err != nil {
			return err
		}
	case unix.S_IFREG:
		id := [2]uint64{uint64(st.Dev), st.Ino}
		if first, ok := c.linked[id]; ok && st.Nlink > 1 {
			return os.Link(first, to)
		}
		if err := c.content(dir, base, to, st); err != nil {
			return err
		}
		if st.Nlink > 1 {
			c.linked[id] = to
		}
	default:
		if err := unix.Mknod(to, st.Mode&unix.S_IFMT|0o600, int(st.Rdev)); err != nil {
			return &os.PathError{Op: "make", Path: name, Err: err}
		}
	}
	if err := (&target{}).dress(unix.AT_FDCWD, to, n); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// content makes the file to with what the file holds that was looked at: whoever
// owns the directory may have put another one there, which is not to get its owner
// and mode.
func (c *pinner) content(dir *os.File, base, to string, st *unix.Stat_t) error {
	from, err := openAt(int(dir.Fd()), base)
	if err != nil {
		return err
	}
	defer from.Close()
	var now unix.Stat_t
	if err := unix.Fstat(int(from.Fd()), &now); err != nil {
		return err
	}
	if now.Dev != st.Dev || now.Ino != st.Ino {
		return unix.ENOENT
	}
	f, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	if err = unix.IoctlFileClone(int(f.Fd()), int(from.Fd())); err != nil {
		_, err = io.Copy(f, from) // by copy_file_range(2)
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("%s: %w", strings.TrimPrefix(to, c.to), err)
	}
	return nil
}
