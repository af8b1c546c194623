package contexts

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"ninefold/namespaces/upper"
)

// Pin says what of the machine a pin is to hold.
type Pin struct {
	// Root is the machine's root, "/".
	Root string
	// Without are directories that are there in a pin, and empty: people's, and what
	// other programs keep whole systems in; and files that are not there.
	Without []string
	// Across are mount points that are gone into. Other file systems are left out.
	Across []string
}

// NoRoomError says that a copy of the machine does not fit on a disk.
type NoRoomError struct{ Needs, Free int64 } // bytes

func (e *NoRoomError) Error() string {
	return fmt.Sprintf("the copy of the machine takes %d MiB, and the disk has %d MiB to spare", e.Needs>>20, e.Free>>20)
}

// tree is where a pin has the machine's root, as a layer has its own.
const tree = "upper"

// Tree is where the host's root lies in what a context stands on, as it was.
func (s *Store) Tree(r Record, pin string) string { return filepath.Join(s.LayerDir(r, pin), tree) }

// Size is how many bytes a pin takes on a disk that shares nothing with the machine's.
func (p Pin) Size(ctx context.Context) (bytes int64, err error) {
	seen := map[[2]uint64]bool{}
	err = p.walk(ctx, func(_ string, _ *os.File, _ string, st *unix.Stat_t) error {
		id := [2]uint64{uint64(st.Dev), st.Ino}
		if st.Mode&unix.S_IFMT == unix.S_IFREG && (st.Nlink == 1 || !seen[id]) {
			seen[id] = st.Nlink > 1
			bytes += st.Blocks * 512
		} else {
			bytes += 512
		}
		return nil
	})
	return bytes, err
}

// walk visits what a pin holds, a directory before what is in it. What goes while
// it is looked at is not there.
func (p Pin) walk(ctx context.Context, visit func(name string, dir *os.File, base string, st *unix.Stat_t) error) error {
	root, err := os.Open(p.Root)
	if err != nil {
		return err
	}
	defer root.Close()
	var st unix.Stat_t
	if err := unix.Fstat(int(root.Fd()), &st); err != nil {
		return err
	}
	if err := visit("/", root, ".", &st); err != nil {
		return err
	}
	left := maxPinned
	return p.walkDir(ctx, "/", root, uint64(st.Dev), &left, visit)
}

// maxPinned bounds how many files a pin has.
const maxPinned = 8_000_000

func (p Pin) walkDir(ctx context.Context, at string, dir *os.File, dev uint64, left *int, visit func(string, *os.File, string, *unix.Stat_t) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	names, err := upper.List(dir)
	if err != nil {
		return err
	}
	for _, n := range names {
		if *left--; *left < 0 {
			return upper.ErrTooMany
		}
		var st unix.Stat_t
		name := path.Join(at, n)
		if err := unix.Fstatat(int(dir.Fd()), n, &st, unix.AT_SYMLINK_NOFOLLOW); errors.Is(err, unix.ENOENT) {
			continue
		} else if err != nil {
			return &os.PathError{Op: "stat", Path: name, Err: err}
		}
		isDir, out := st.Mode&unix.S_IFMT == unix.S_IFDIR, slices.Contains(p.Without, name)
		if out && !isDir || st.Mode&unix.S_IFMT == unix.S_IFSOCK {
			continue
		}
		if err := visit(name, dir, n, &st); errors.Is(err, unix.ENOENT) {
			continue
		} else if err != nil {
			return err
		}
		across := slices.Contains(p.Across, name)
		if !isDir || out || uint64(st.Dev) != dev && !across {
			continue
		}
		sub, err := upper.OpenDir(dir, n)
		if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP) {
			continue
		}
		if err != nil {
			return err
		}
		err = p.walkDir(ctx, name, sub, uint64(st.Dev), left, visit)
		sub.Close()
		if err != nil {
			return err
		}
	}
	return nil
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

// Pin copies the machine as it is, and has the context, in which nobody is, stand on
// that. What of people's homes lies in its layer gets a layer of its own over
// their homes, which stay live.
func (c *Claim) Pin(ctx context.Context, p Pin, tell func(bytes int64)) error {
	fail := func(err error) error {
		if err != nil {
			err = fmt.Errorf("pin the context %s: %w", c.rec.Name, err)
		}
		return err
	}
	pin := strconv.Itoa(c.rec.Last + 1)
	layers := filepath.Join(c.s.Dir(c.rec), layersDir)
	if err := p.Copy(ctx, layers, pin, tell); err != nil {
		return fail(errors.Join(err, os.RemoveAll(filepath.Join(layers, pin))))
	}
	if err := PartHomes(c.s.LayerDir(c.rec, c.rec.Layer)); err != nil {
		return fail(err)
	}
	return fail(c.update(func(r *Record) error {
		r.Last, r.Stands.Pin = c.number(pin), pin
		return nil
	}))
}

// Homes is the directory of people's homes, which stays live below a pinned context.
const Homes = "/home"

// HomesLayer is where a layer has that of people's homes.
const HomesLayer = "@home"

// PartHomes moves what a layer has in people's homes to a layer of its own, whatever
// it stands on: Parts finds it there. A layer that replaced all of them keeps them.
func PartHomes(layer string) error {
	from, to := filepath.Join(layer, "upper", Homes), filepath.Join(layer, HomesLayer)
	st, err := os.Lstat(from)
	if errors.Is(err, os.ErrNotExist) || err == nil && !st.IsDir() {
		return nil
	}
	if err != nil {
		return err
	}
	if _, err := os.Lstat(filepath.Join(to, "upper")); err == nil {
		return nil
	}
	var v [1]byte
	if n, err := unix.Lgetxattr(from, opaque, v[:]); err == nil && n == 1 && v[0] == 'y' {
		return nil
	}
	if err := os.MkdirAll(filepath.Join(to, "work"), 0o700); err != nil {
		return err
	}
	return os.Rename(from, filepath.Join(to, "upper"))
}

// Parts are the mount points that a layer has a layer of its own for, sorted.
func Parts(layer string) (out []string, err error) {
	entries, err := os.ReadDir(layer)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	for _, e := range entries {
		sub := path.Join(e.Name(), "upper")
		if !strings.HasPrefix(e.Name(), "@") {
			continue
		}
		if st, err := os.Lstat(filepath.Join(layer, sub)); err == nil && st.IsDir() {
			out = append(out, upper.MountOf(sub))
		}
	}
	slices.Sort(out)
	return out, err
}
