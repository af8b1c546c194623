package parked

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"ninefold/namespaces/upper"
)

// copyWritten copies what was written in l below to, where root alone can look,
// and counts in it. What does not fit into room bytes is left out.
func copyWritten(ctx context.Context, l *Layers, to *os.File, room int64, it *Item) error {
	below, err := os.OpenRoot(to.Name())
	if err != nil {
		return err
	}
	defer below.Close()
	c := &copying{to: below, dirs: map[string]unix.Stat_t{}, room: room, enough: func() bool { return roomIn(to) > 0 }}
	// One file that cannot be copied must not cost the others.
	leave := func(err error) {
		if it.Left++; it.Why == "" && !errors.Is(err, errLeft) {
			it.Why = err.Error()[:min(len(err.Error()), maxWhy)]
		}
	}
	err = l.walk(ctx, func(e *upper.Entry) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		name := filepath.Join(e.Layer, e.Name)
		written := l.since.written(&e.Stat)
		switch {
		case e.IsDir():
			c.dirs[name] = e.Stat
			if !written {
				return nil
			}
			if err := c.makeDir(name); err != nil {
				leave(err)
			}
			return nil
		case !written || e.Whiteout():
			return nil
		}
		n, err := c.file(e, name)
		switch {
		case errors.Is(err, unix.ENOENT):
			return nil // a process of the session has removed it meanwhile
		case errors.Is(err, errBare):
			leave(err)
		case err != nil:
			leave(err)
			_ = c.to.Remove(name) // half of a file is none
			return nil
		}
		it.Files++
		it.Bytes += n
		return nil
	})
	if errors.Is(err, upper.ErrTooMany) || errors.Is(err, context.DeadlineExceeded) && it.Files > 0 {
		leave(fmt.Errorf("not all of it was looked at: %w", err))
		err = nil
	}
	return err
}

var (
	// errLeft says that a file is left out.
	errLeft = errors.New("left out")
	// errBare says that a file lacks some of its attributes.
	errBare = errors.New("without all of its attributes")
)

// maxWhy bounds the reason that is kept with an item, in bytes.
const maxWhy = 500

// blockSize is what a name costs on disk at least, its content aside: a link, an
// empty file and a directory take room, too.
const blockSize = 4096

type copying struct {
	// to keeps what is copied below the directory, whatever links it has.
	to   *os.Root
	dirs map[string]unix.Stat_t
	room int64
	// enough reports whether the disk still has room beyond what others need.
	enough func() bool
}

// makeDir makes a directory with those above it, as they are in the source.
func (c *copying) makeDir(name string) error {
	if name == "." {
		return nil
	}
	if _, err := c.to.Lstat(name); err == nil {
		return nil
	}
	if err := c.makeDir(filepath.Dir(name)); err != nil {
		return err
	}
	if err := c.take(0); err != nil {
		return err
	}
	if err := c.to.Mkdir(name, 0o700); err != nil {
		return err
	}
	st, ok := c.dirs[name]
	if !ok {
		return nil // "upper" itself
	}
	d, err := c.to.Open(name)
	if err != nil {
		return err
	}
	defer d.Close()
	if err := d.Chown(int(st.Uid), int(st.Gid)); err != nil {
		return err
	}
	return unix.Fchmod(int(d.Fd()), st.Mode&0o7777)
}

// take counts a name with a content of that size; errLeft when it does not fit.
func (c *copying) take(size int64) error {
	if size > c.room-blockSize || !c.enough() {
		return errLeft
	}
	c.room -= size + blockSize
	return nil
}

// file copies one file or link.
func (c *copying) file(e *upper.Entry, name string) (n int64, err error) {
	at := int(e.Parent.Fd())
	switch e.Stat.Mode & unix.S_IFMT {
	case unix.S_IFLNK:
		text := make([]byte, unix.PathMax)
		n, err := unix.Readlinkat(at, e.Base(), text)
		if err != nil {
			return 0, &os.PathError{Op: "readlink", Path: e.Name, Err: err}
		}
		if err := c.makeDir(filepath.Dir(name)); err != nil {
			return 0, err
		}
		if err := c.take(0); err != nil {
			return 0, err
		}
		if err := c.to.Symlink(string(text[:n]), name); err != nil {
			return 0, err
		}
		return 0, c.to.Lchown(name, int(e.Stat.Uid), int(e.Stat.Gid))
	case unix.S_IFREG:
	default:
		return 0, errLeft // sockets, pipes and devices are of the time they were made
	}
	from, err := openFile(e)
	if err != nil {
		return 0, err
	}
	defer from.Close()
	// Of a file that was only given another owner or mode, an overlay over an
	// image has no content: that lies in the image.
	if _, err := unix.Fgetxattr(int(from.Fd()), metacopy, nil); err == nil {
		return 0, errLeft
	}
	if err := c.makeDir(filepath.Dir(name)); err != nil {
		return 0, err
	}
	if err := c.take(e.Stat.Size); err != nil {
		return 0, err
	}
	f, err := c.to.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	if n, err = io.Copy(f, io.LimitReader(from, e.Stat.Size)); err != nil {
		return n, err
	}
	return n, dress(f, from, &e.Stat, true)
}

const (
	overlayPrefix = "trusted.overlay."
	metacopy      = overlayPrefix + "metacopy"
	redirect      = overlayPrefix + "redirect"
)

// openFile opens e, which has to be what was looked at: whose it is and what bits
// it has decides, and what lies under its name can be another file by now.
func openFile(e *upper.Entry) (*os.File, error) {
	fd, err := unix.Openat(int(e.Parent.Fd()), e.Base(), unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: e.Name, Err: err}
	}
	f := os.NewFile(uintptr(fd), e.Name)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil || st.Dev != e.Stat.Dev || st.Ino != e.Stat.Ino || st.Uid != e.Stat.Uid || st.Mode != e.Stat.Mode {
		f.Close()
		return nil, &os.PathError{Op: "open", Path: e.Name, Err: cmp.Or(err, errLeft)}
	}
	return f, nil
}

// dress gives f the attributes of the file from, which st describes: whole for
// root, without owner and setuid bits for a user. The owner comes first: a
// change of owner takes setuid bits and capabilities away. It is errBare when
// all of it went well but for extended attributes.
func dress(f, from *os.File, st *unix.Stat_t, whole bool) error {
	mode := st.Mode & 0o777
	var bare error
	if whole {
		mode = st.Mode & 0o7777
		if err := f.Chown(int(st.Uid), int(st.Gid)); err != nil {
			return err
		}
		bare = copyAttributes(f, from)
	}
	if err := unix.Fchmod(int(f.Fd()), mode); err != nil {
		return &os.PathError{Op: "chmod", Path: f.Name(), Err: err}
	}
	times := []unix.Timeval{unix.NsecToTimeval(st.Atim.Nano()), unix.NsecToTimeval(st.Mtim.Nano())}
	if err := unix.Futimes(int(f.Fd()), times); err != nil {
		return &os.PathError{Op: "set the times of", Path: f.Name(), Err: err}
	}
	return bare
}

// copyAttributes copies extended attributes but those of overlays and of
// security modules, which say what they are by themselves. A file system
// without them loses them. What the target does not take (its limits can be
// lower) is errBare.
func copyAttributes(f, from *os.File) (bare error) {
	names := make([]byte, 64<<10)
	n, err := unix.Flistxattr(int(from.Fd()), names)
	if err != nil {
		return nil
	}
	for name := range strings.SplitSeq(strings.TrimRight(string(names[:n]), "\x00"), "\x00") {
		if name == "" || strings.HasPrefix(name, "trusted.") || strings.HasPrefix(name, "security.") && name != "security.capability" {
			continue
		}
		value := make([]byte, 64<<10)
		n, err := unix.Fgetxattr(int(from.Fd()), name, value)
		if err != nil {
			continue
		}
		if err := unix.Fsetxattr(int(f.Fd()), name, value[:n], 0); err != nil && !errors.Is(err, unix.ENOTSUP) {
			bare = cmp.Or(bare, fmt.Errorf("%s: %w: %s: %w", f.Name(), errBare, name, err))
		}
	}
	return bare
}

// Mixes reports whether the layers below dir, a kept one's, hold what means
// something only over the very layers that it was written over: files without
// content of their own, directories that were moved.
func Mixes(ctx context.Context, dir string) (bool, error) {
	f, err := os.Open(dir)
	if err != nil {
		return false, err
	}
	defer f.Close()
	found := errors.New("found")
	err = upper.Walk(ctx, f, maxFiles, func(e *upper.Entry) error {
		mode := e.Stat.Mode & unix.S_IFMT
		if mode != unix.S_IFREG && mode != unix.S_IFDIR {
			return nil
		}
		open, err := openFile(e)
		if err != nil {
			return err
		}
		defer open.Close()
		for _, name := range []string{metacopy, redirect} {
			if _, err := unix.Fgetxattr(int(open.Fd()), name, nil); err == nil {
				return found
			}
		}
		return nil
	})
	if errors.Is(err, found) || errors.Is(err, upper.ErrTooMany) {
		return true, nil // of what cannot be looked at whole, nothing is known
	}
	return false, err
}
