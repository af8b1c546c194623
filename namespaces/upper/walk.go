// Package upper reads the writable layers of a root as package layers lays them
// out in one directory: "upper" for /, and "@PATH/upper" for a file system of
// the host's, with %2F for a slash.
package upper

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Entry is one file of a layer.
type Entry struct {
	// Layer is "upper" or "@PATH/upper", and Name the path in it.
	Layer, Name string
	// Parent is the directory that it is in, open while it is visited.
	Parent *os.File
	Stat   unix.Stat_t
}

// Path is where in the root the entry shows.
func (e *Entry) Path() string { return path.Join(MountOf(e.Layer), e.Name) }

// IsDir reports whether e is a directory.
func (e *Entry) IsDir() bool { return e.Stat.Mode&unix.S_IFMT == unix.S_IFDIR }

// Base is the last part of its name.
func (e *Entry) Base() string { return path.Base(e.Name) }

// Whiteout reports whether e stands for a file that was removed.
func (e *Entry) Whiteout() bool { return e.Stat.Mode&unix.S_IFMT == unix.S_IFCHR && e.Stat.Rdev == 0 }

// ErrTooMany says that there is more in layers than was to be looked at.
var ErrTooMany = errors.New("more files than are looked at")

const (
	maxDepth = 200
	maxNames = 1 << 20 // in one directory
)

// Walk visits everything in the layers below dir, a directory before what
// is in it, and at most so many files. Nothing is followed: a link is a file
// here. What visit returns ends the walk, but for fs.SkipDir, which leaves out
// what is in a directory.
func Walk(ctx context.Context, dir *os.File, files int, visit func(*Entry) error) error {
	names, err := List(dir)
	if err != nil {
		return err
	}
	left := files
	for _, n := range names {
		layer := n
		if strings.HasPrefix(n, "@") {
			layer = path.Join(n, "upper")
		} else if n != "upper" {
			continue
		}
		e := &Entry{Layer: layer, Name: "."}
		sub, err := OpenDir(dir, layer)
		if errors.Is(err, unix.ENOENT) {
			continue
		}
		if err == nil {
			if err = unix.Fstat(int(sub.Fd()), &e.Stat); err == nil {
				err = walkDir(ctx, sub, e, &left, 0, visit)
			}
			sub.Close()
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func walkDir(ctx context.Context, dir *os.File, in *Entry, left *int, depth int, visit func(*Entry) error) error {
	if depth > maxDepth {
		return ErrTooMany
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	names, err := List(dir)
	if err != nil {
		return err
	}
	for _, n := range names {
		if *left--; *left < 0 {
			return ErrTooMany
		}
		e := &Entry{Layer: in.Layer, Name: path.Join(in.Name, n), Parent: dir}
		err := unix.Fstatat(int(dir.Fd()), n, &e.Stat, unix.AT_SYMLINK_NOFOLLOW)
		if errors.Is(err, unix.ENOENT) {
			continue // a process of the session has removed it meanwhile
		}
		if err != nil {
			return &os.PathError{Op: "stat", Path: e.Name, Err: err}
		}
		if err := visit(e); errors.Is(err, fs.SkipDir) {
			continue
		} else if err != nil {
			return err
		}
		if !e.IsDir() {
			continue
		}
		sub, err := OpenDir(dir, n)
		if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP) {
			continue // removed, or something else by now
		}
		if err != nil {
			return err
		}
		err = walkDir(ctx, sub, e, left, depth+1, visit)
		sub.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

// OpenDir opens a directory below at, following no link.
func OpenDir(at *os.File, name string) (*os.File, error) {
	how := unix.OpenHow{Flags: unix.O_RDONLY | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC, Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS}
	fd, err := unix.Openat2(int(at.Fd()), name, &how)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: name, Err: err}
	}
	return os.NewFile(uintptr(fd), name), nil
}

// List reads the names in a directory, sorted, each once: one that a process
// removes and makes again meanwhile can be read twice, and be a link and then a
// directory. dir may be open as a path alone.
func List(dir *os.File) ([]string, error) {
	d, err := OpenDir(dir, ".")
	if err != nil {
		return nil, err
	}
	defer d.Close()
	names, err := d.Readdirnames(maxNames)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// MountOf is where in a root the layer shows: "/" for "upper".
func MountOf(layer string) string {
	name, ok := strings.CutPrefix(path.Dir(layer), "@")
	if !ok {
		return "/"
	}
	return "/" + strings.NewReplacer("%2F", "/", "%25", "%").Replace(name)
}
