package contexts

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"strings"

	"golang.org/x/sys/unix"
)

// node is a file, link or directory as it is compared and carried.
type node struct {
	exists   bool
	mode     uint32 // with the type
	uid, gid uint32
	mtime    unix.Timespec
	text     string // of a link, or of a file that is not too large
	whole    bool   // text is the content
	// attributes are the carried ones.
	attributes map[string]string
}

func (n node) kind() uint32 { return n.mode & unix.S_IFMT }

// attributed reports whether it can have attributes that are carried.
func (n node) attributed() bool { return n.kind() == unix.S_IFREG || n.kind() == unix.S_IFDIR }

func (n node) sameContent(o node) bool {
	return n.exists == o.exists && (!n.exists || n.kind() == o.kind() && n.whole && o.whole && n.text == o.text)
}

// sameOwner reports whether all but the content and the times is the same.
func (n node) sameOwner(o node) bool {
	return n.mode == o.mode && n.uid == o.uid && n.gid == o.gid && maps.Equal(n.attributes, o.attributes)
}

// target is the root that a context is carried over to. Its ids are first more
// than those on disk. Whoever writes to it acts as its root (kernel.AsRootOf).
type target struct {
	root  int // an open directory
	first uint32
}

var errOnTheWay = errors.New("a directory on the way is a link, or no directory")

// parent opens the directory that name is in, following no link: one that a user
// put there since would lead elsewhere. ENOENT when it is not there.
func (t *target) parent(name string) (*os.File, error) {
	how := unix.OpenHow{Flags: unix.O_PATH | unix.O_DIRECTORY | unix.O_CLOEXEC, Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS}
	dir := strings.TrimPrefix(path.Dir(name), "/")
	if dir == "" {
		dir = "."
	}
	fd, err := unix.Openat2(t.root, dir, &how)
	if errors.Is(err, unix.ELOOP) || errors.Is(err, unix.ENOTDIR) {
		return nil, fmt.Errorf("%s: %w", name, errOnTheWay)
	}
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path.Dir(name), Err: err}
	}
	return os.NewFile(uintptr(fd), path.Dir(name)), nil
}

// look reads what is at name, with the ids that are on disk.
func (t *target) look(name string) (node, error) {
	dir, err := t.parent(name)
	if errors.Is(err, unix.ENOENT) {
		return node{}, nil
	}
	if err != nil {
		return node{}, err
	}
	defer dir.Close()
	n, err := shiftedNodeAt(int(dir.Fd()), path.Base(name), t.first)
	n.uid, n.gid = n.uid-t.first, n.gid-t.first
	return n, err
}

// nodeAt reads a file in an open directory.
func nodeAt(dir int, name string) (node, error) { return shiftedNodeAt(dir, name, 0) }

// nodeOf is what a file is that was looked at, but for its content.
func nodeOf(f *os.File, st unix.Stat_t) (n node, err error) {
	n = node{exists: true, mode: st.Mode, uid: st.Uid, gid: st.Gid, mtime: st.Mtim}
	if n.attributed() {
		n.attributes, err = attributesOf(f, 0)
	}
	return n, err
}

func shiftedNodeAt(dir int, name string, first uint32) (n node, err error) {
	var st unix.Stat_t
	if err := unix.Fstatat(dir, name, &st, unix.AT_SYMLINK_NOFOLLOW); errors.Is(err, unix.ENOENT) {
		return n, nil
	} else if err != nil {
		return n, &os.PathError{Op: "stat", Path: name, Err: err}
	}
	n = node{exists: true, mode: st.Mode, uid: st.Uid, gid: st.Gid, mtime: st.Mtim}
	if n.attributed() {
		if n.attributes, err = attributesAt(dir, name, first); err != nil {
			return n, err
		}
	}
	switch n.kind() {
	case unix.S_IFLNK:
		n.text, err = readlink(dir, name)
		n.whole = true
	case unix.S_IFREG:
		if st.Size > maxCompare {
			return n, nil
		}
		f, err := openAt(dir, name)
		if err != nil {
			return n, err
		}
		defer f.Close()
		b, err := io.ReadAll(io.LimitReader(f, maxCompare+1))
		if err != nil {
			return n, err
		}
		n.text, n.whole = string(b), true
	}
	return n, err
}

// aside is the name under which a file is made before it is put in its place.
const aside = ".ninefold-carried"

// put makes name what n is, in place of a file or link that is there. Directories
// above it are made where they are missing. content, if not nil, is that of a file
// too large for n.
func (t *target) put(name string, n node, content io.Reader) error {
	if err := t.parents(name); err != nil {
		return err
	}
	dir, err := t.parent(name)
	if err != nil {
		return err
	}
	defer dir.Close()
	at, base := int(dir.Fd()), path.Base(name)
	fail := func(err error) error {
		if err == nil {
			return nil
		}
		return fmt.Errorf("carry %s over: %w", name, err)
	}
	switch n.kind() {
	case unix.S_IFDIR:
		if err := unix.Mkdirat(at, base, 0o700); err != nil && !errors.Is(err, unix.EEXIST) {
			return fail(err)
		}
		return fail(t.dress(at, base, n))
	case unix.S_IFLNK:
		_ = unix.Unlinkat(at, aside, 0) // one that was killed left it
		if err := unix.Symlinkat(n.text, at, aside); err != nil {
			return fail(err)
		}
	default:
		_ = unix.Unlinkat(at, aside, 0)
		fd, err := unix.Openat(at, aside, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
		if err != nil {
			return fail(err)
		}
		f := os.NewFile(uintptr(fd), name)
		if content == nil {
			content = strings.NewReader(n.text)
		}
		_, err = io.Copy(f, content)
		if err = errors.Join(err, f.Close()); err != nil {
			return fail(errors.Join(err, unix.Unlinkat(at, aside, 0)))
		}
	}
	if err := t.dress(at, aside, n); err != nil {
		return fail(errors.Join(err, unix.Unlinkat(at, aside, 0)))
	}
	return fail(unix.Renameat(at, aside, at, base))
}

// putCopy makes name what the file at from is. Where a file is to be a directory or
// the other way round, what is there goes first, unless it is a directory that is
// not empty: ErrFull.
func (t *target) putCopy(name, from string) error {
	n, err := nodeAt(unix.AT_FDCWD, from)
	if err != nil {
		return err
	}
	there, err := t.look(name)
	if err != nil {
		return err
	}
	if isDir := n.kind() == unix.S_IFDIR; there.exists && isDir != (there.kind() == unix.S_IFDIR) {
		if err := t.remove(name); err != nil {
			return err
		}
	}
	if n.kind() != unix.S_IFREG || n.whole {
		return t.put(name, n, nil)
	}
	f, err := openAt(unix.AT_FDCWD, from)
	if err != nil {
		return err
	}
	defer f.Close()
	return t.put(name, n, f)
}

// dress gives a file owner, mode, attributes and times. The owner comes first: its
// change takes setuid bits and file capabilities away. The mode comes after the
// access list, which has the group's part of it.
func (t *target) dress(at int, name string, n node) error {
	if err := unix.Fchownat(at, name, int(t.first+n.uid), int(t.first+n.gid), unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return err
	}
	if n.attributed() {
		if err := setAttributes(at, name, n.attributes, t.first); err != nil {
			return err
		}
	}
	if n.kind() != unix.S_IFLNK {
		if err := unix.Fchmodat(at, name, n.mode&0o7777, 0); err != nil {
			return err
		}
	}
	return unix.UtimesNanoAt(at, name, []unix.Timespec{n.mtime, n.mtime}, unix.AT_SYMLINK_NOFOLLOW)
}

func (t *target) parents(name string) error {
	dir, err := t.parent(name)
	if err == nil {
		return dir.Close()
	}
	if !errors.Is(err, unix.ENOENT) || path.Dir(name) == "/" {
		return err
	}
	return t.put(path.Dir(name), node{exists: true, mode: unix.S_IFDIR | 0o755}, nil)
}

// ErrFull says that a directory is in the way that is not empty. What is in it is
// not removed for somebody who spoke of the directory's name alone.
var ErrFull = errors.New("it is a directory that is not empty")

// remove takes a file, a link or an empty directory away.
func (t *target) remove(name string) error {
	dir, err := t.parent(name)
	if err != nil {
		return err
	}
	defer dir.Close()
	err = unix.Unlinkat(int(dir.Fd()), path.Base(name), 0)
	if errors.Is(err, unix.EISDIR) {
		err = unix.Unlinkat(int(dir.Fd()), path.Base(name), unix.AT_REMOVEDIR)
	}
	if errors.Is(err, unix.ENOTEMPTY) || errors.Is(err, unix.EEXIST) {
		err = ErrFull
	}
	if err != nil {
		return fmt.Errorf("remove %s: %w", name, err)
	}
	return nil
}
