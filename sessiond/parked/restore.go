package parked

import (
	"context"
	"errors"
	"io"
	"os"
	"path"
	"path/filepath"

	"golang.org/x/sys/unix"

	"ninefold/namespaces/kernel"
	"ninefold/namespaces/plan"
	"ninefold/namespaces/upper"
)

// Into is where an item is restored.
type Into struct {
	// View is the mount namespace of a live view.
	View *os.File
	// User is whose view it is. Everything is written with that user's access
	// and as that user's, unless AsRoot.
	User   plan.Identity
	AsRoot bool
	// Over replaces what the view's session wrote itself, too. Written are the
	// view's own layers, nil when they are not to be had.
	Over    bool
	Written *Layers
}

// Restored is what came of it.
type Restored struct {
	Files int64
	// Written were left because the session has written files of that name,
	// Roots because they are root's or somebody else's and the caller is not
	// root, and Failed for another reason, of which Why is the first.
	Written, Roots, Failed int64
	Why                    string
}

// Restore writes the files of an item into a live view, through the view's own
// mounts. Nothing is followed out of a directory: where a link or a mount is on
// the way now, the file is left. What the session had removed is not removed.
func (s *Shelf) Restore(ctx context.Context, it Item, into Into) (r Restored, err error) {
	from, err := os.Open(filepath.Join(s.of(it.UID), it.ID, layersName))
	if err != nil {
		return r, err
	}
	defer from.Close()
	who := into.User
	if into.AsRoot {
		who = plan.Identity{}
	}
	err = kernel.InMountNamespace(kernel.FD(into.View.Fd()), func() error {
		root, err := os.Open("/") // the view's: that is where the thread is
		if err != nil {
			return err
		}
		defer root.Close()
		return upper.Walk(ctx, from, maxFiles, func(e *upper.Entry) error {
			if e.IsDir() || e.Whiteout() {
				return nil
			}
			switch {
			case !into.AsRoot && e.Stat.Uid != who.UID:
				r.Roots++
				return nil
			case !into.Over && into.Written != nil && into.Written.has(e.Layer, e.Name):
				r.Written++
				return nil
			}
			err := bring(e, from, root, who)
			if err == nil {
				r.Files++
				return nil
			}
			if r.Failed++; r.Why == "" {
				r.Why = err.Error()
			}
			return ctx.Err()
		})
	})
	return r, err
}

// bring writes one file. The source is opened as root, who alone can, and the
// rest done as who.
func bring(e *upper.Entry, from, root *os.File, who plan.Identity) error {
	text := make([]byte, unix.PathMax)
	var source *os.File
	switch e.Stat.Mode & unix.S_IFMT {
	case unix.S_IFLNK:
		n, err := unix.Readlinkat(int(e.Parent.Fd()), e.Base(), text)
		if err != nil {
			return &os.PathError{Op: "readlink", Path: e.Name, Err: err}
		}
		text = text[:n]
	case unix.S_IFREG:
		var err error
		if source, err = openFile(e); err != nil {
			return err
		}
		defer source.Close()
		if _, err := unix.Fgetxattr(int(source.Fd()), metacopy, nil); err == nil {
			return &os.PathError{Op: "restore", Path: e.Name, Err: errLeft}
		}
	default:
		return &os.PathError{Op: "restore", Path: e.Name, Err: errLeft}
	}
	parents, err := above(e, from)
	if err != nil {
		return err
	}
	return kernel.AsUser(who.UID, who.GID, who.Groups, func() error {
		dir, err := descend(root, path.Join(upper.MountOf(e.Layer), path.Dir(e.Name)), parents, who.UID == 0)
		if err != nil {
			return err
		}
		defer dir.Close()
		if source == nil {
			return link(dir, e, string(text), who.UID == 0)
		}
		return write(dir, e, source, who.UID == 0)
	})
}

// above are the directories of e in its layer, the outermost first, to make
// those that are missing in the view as they were.
func above(e *upper.Entry, from *os.File) ([]unix.Stat_t, error) {
	var out []unix.Stat_t
	for name := path.Dir(e.Name); name != "."; name = path.Dir(name) {
		var st unix.Stat_t
		if err := unix.Fstatat(int(from.Fd()), path.Join(e.Layer, name), &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
			return nil, &os.PathError{Op: "stat", Path: name, Err: err}
		}
		out = append([]unix.Stat_t{st}, out...)
	}
	return out, nil
}

// descend opens a directory of the view by its names, one after the other, and
// makes those that are missing. parents describe the last ones; in those no
// mount is crossed, so that nothing lands in a home or a stick.
func descend(root *os.File, name string, parents []unix.Stat_t, whole bool) (*os.File, error) {
	dir, err := openAt(root, ".", 0)
	if err != nil {
		return nil, err
	}
	names := split(name)
	for i, n := range names {
		own := i - (len(names) - len(parents))
		cross := uint64(0)
		if own >= 0 {
			cross = unix.RESOLVE_NO_XDEV
		}
		next, err := openAt(dir, n, cross)
		if errors.Is(err, unix.ENOENT) && own >= 0 {
			if next, err = makeAt(dir, n, parents[own], whole); errors.Is(err, unix.EEXIST) {
				next, err = openAt(dir, n, cross)
			}
		}
		dir.Close()
		if err != nil {
			return nil, err
		}
		dir = next
	}
	return dir, nil
}

func split(name string) (names []string) {
	for name = path.Clean(name); name != "/" && name != "."; name = path.Dir(name) {
		names = append([]string{path.Base(name)}, names...)
	}
	return names
}

func openAt(dir *os.File, name string, resolve uint64) (*os.File, error) {
	how := unix.OpenHow{Flags: unix.O_RDONLY | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC,
		Resolve: resolve | unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS}
	if name == "." {
		how.Resolve = 0
	}
	fd, err := unix.Openat2(int(dir.Fd()), name, &how)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path.Join(dir.Name(), name), Err: err}
	}
	return os.NewFile(uintptr(fd), path.Join(dir.Name(), name)), nil
}

func makeAt(dir *os.File, name string, st unix.Stat_t, whole bool) (*os.File, error) {
	if err := unix.Mkdirat(int(dir.Fd()), name, 0o700); err != nil {
		return nil, &os.PathError{Op: "mkdir", Path: path.Join(dir.Name(), name), Err: err}
	}
	d, err := openAt(dir, name, unix.RESOLVE_NO_XDEV)
	if err != nil {
		return nil, err
	}
	mode := st.Mode & 0o777
	if whole {
		mode = st.Mode & 0o7777
		if err = justMade(d); err == nil {
			err = d.Chown(int(st.Uid), int(st.Gid))
		}
	}
	if err == nil {
		err = unix.Fchmod(int(d.Fd()), mode)
	}
	if err != nil {
		d.Close()
		return nil, err
	}
	return d, nil
}

// errSwapped says that something else lies where a directory was just made.
var errSwapped = errors.New("another directory was put in its place")

// justMade wants d to be what root has just made, empty and for root alone: who
// may write beside it could have put another directory there, to have that
// given away.
func justMade(d *os.File) error {
	var st unix.Stat_t
	if err := unix.Fstat(int(d.Fd()), &st); err != nil {
		return &os.PathError{Op: "stat", Path: d.Name(), Err: err}
	}
	names, err := upper.List(d)
	if err == nil && (st.Uid != 0 || st.Mode&^unix.S_ISGID != unix.S_IFDIR|0o700 || len(names) > 0) {
		err = errSwapped
	}
	if err != nil {
		return &os.PathError{Op: "restore", Path: d.Name(), Err: err}
	}
	return nil
}

// fresh is a name in dir beside that of e for what then takes its place.
func fresh(e *upper.Entry) string { return ".ninefold-restored-" + e.Base() }

func link(dir *os.File, e *upper.Entry, text string, whole bool) error {
	at, name := int(dir.Fd()), fresh(e)
	if err := unix.Symlinkat(text, at, name); err != nil {
		return &os.PathError{Op: "link", Path: e.Name, Err: err}
	}
	var err error
	if whole {
		err = unix.Fchownat(at, name, int(e.Stat.Uid), int(e.Stat.Gid), unix.AT_SYMLINK_NOFOLLOW)
	}
	return place(at, name, e, err)
}

// write makes a new file and puts it in the place of what is there, which is
// never written through. Its mode is its own only when it is whole.
func write(dir *os.File, e *upper.Entry, source *os.File, whole bool) error {
	at, name := int(dir.Fd()), fresh(e)
	fd, err := unix.Openat(at, name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return &os.PathError{Op: "create", Path: e.Name, Err: err}
	}
	f := os.NewFile(uintptr(fd), e.Name)
	_, err = io.Copy(f, source)
	if err == nil {
		// Better there without some attributes than not at all.
		if err = dress(f, source, &e.Stat, whole); errors.Is(err, errBare) {
			err = nil
		}
	}
	return place(at, name, e, errors.Join(err, f.Close()))
}

func place(at int, name string, e *upper.Entry, err error) error {
	if err == nil {
		if err = unix.Renameat(at, name, at, e.Base()); err == nil {
			return nil
		}
		err = &os.PathError{Op: "replace", Path: e.Name, Err: err}
	}
	return errors.Join(err, unix.Unlinkat(at, name, 0))
}
