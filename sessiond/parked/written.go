package parked

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"ninefold/namespaces"
)

// The bounds of a look at a writable layer, and of what is parked of one.
const (
	maxFiles = 100_000
	maxDepth = 200
	// maxBytes is what one logout leaves on disk at most.
	maxBytes = 256 << 20
)

// stamp tells what a session wrote from what was put into its root when that
// was made: the root's maker leaves a directory as the last thing. A file that
// was made later has a higher number (tmpfs counts up), and one that was changed
// later a later change time, which nobody can set.
type stamp struct {
	ino  uint64
	when unix.Timespec
}

func (s stamp) written(st *unix.Stat_t) bool {
	return st.Ino > s.ino || st.Ctim.Sec > s.when.Sec || st.Ctim.Sec == s.when.Sec && st.Ctim.Nsec > s.when.Nsec
}

// Layers are the writable layers of one root, open, as package namespaces lays
// them out: "upper" for /, and "@PATH/upper" for a file system of the host's.
type Layers struct {
	dir   *os.File
	since stamp
	// Parks says that the profile wants what is in them parked.
	Parks bool
}

// ErrNone says that a view has no layers that are thrown away: they are kept,
// or it was made by a version that did not hold them.
var ErrNone = errors.New("the view holds no layers that are thrown away")

// Open takes dir, which the holder of a view holds; it is the Layers' from then
// on.
func Open(dir *os.File) (*Layers, error) {
	for _, name := range []string{namespaces.StampPark, namespaces.StampDiscard} {
		var st unix.Stat_t
		if err := unix.Fstatat(int(dir.Fd()), name, &st, unix.AT_SYMLINK_NOFOLLOW); err == nil && st.Mode&unix.S_IFMT == unix.S_IFDIR {
			return &Layers{dir: dir, since: stamp{st.Ino, st.Ctim}, Parks: name == namespaces.StampPark}, nil
		}
	}
	dir.Close()
	return nil, ErrNone
}

// Close lets go of the layers.
func (l *Layers) Close() { l.dir.Close() }

// Amount is how much there is in layers.
type Amount struct {
	Files int64
	Bytes int64
	// More says that there is more than could be looked at.
	More bool
}

// Count counts what was written: files, links and the like, and the bytes of
// files.
func (l *Layers) Count(ctx context.Context) (a Amount, err error) {
	err = l.walk(ctx, func(e *entry) error {
		if e.dir() || !l.since.written(&e.st) {
			return nil
		}
		a.Files++
		if e.st.Mode&unix.S_IFMT == unix.S_IFREG {
			a.Bytes += e.st.Size
		}
		return nil
	})
	if errors.Is(err, errTooMany) {
		a.More, err = true, nil
	}
	return a, err
}

// has reports whether the session of these layers wrote name, a path below
// the file system layer.
func (l *Layers) has(layer, name string) bool {
	var st unix.Stat_t
	err := unix.Fstatat(int(l.dir.Fd()), path.Join(layer, name), &st, unix.AT_SYMLINK_NOFOLLOW)
	return err == nil && l.since.written(&st)
}

func (l *Layers) walk(ctx context.Context, visit func(*entry) error) error {
	return walkLayers(ctx, l.dir, visit)
}

// entry is one file of a layer.
type entry struct {
	// layer is "upper" or "@PATH/upper", and name the path in it.
	layer, name string
	parent      *os.File
	st          unix.Stat_t
}

func (e *entry) dir() bool    { return e.st.Mode&unix.S_IFMT == unix.S_IFDIR }
func (e *entry) base() string { return path.Base(e.name) }

// whiteout reports whether e stands for a file that was removed.
func (e *entry) whiteout() bool { return e.st.Mode&unix.S_IFMT == unix.S_IFCHR && e.st.Rdev == 0 }

var errTooMany = fmt.Errorf("more than %d files", maxFiles)

// walkLayers visits everything in the layers below dir, a directory before what
// is in it; the directory of a layer itself has the name ".". Nothing is
// followed: a link is a file here.
func walkLayers(ctx context.Context, dir *os.File, visit func(*entry) error) error {
	names, err := list(dir)
	if err != nil {
		return err
	}
	left := maxFiles
	for _, n := range names {
		layer := n
		if strings.HasPrefix(n, "@") {
			layer = path.Join(n, "upper")
		} else if n != "upper" {
			continue
		}
		e := &entry{layer: layer, name: "."}
		sub, err := openDir(dir, layer)
		if errors.Is(err, unix.ENOENT) {
			continue
		}
		if err == nil {
			if err = unix.Fstat(int(sub.Fd()), &e.st); err == nil {
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

func walkDir(ctx context.Context, dir *os.File, in *entry, left *int, depth int, visit func(*entry) error) error {
	if depth > maxDepth {
		return errTooMany
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	names, err := list(dir)
	if err != nil {
		return err
	}
	for _, n := range names {
		if *left--; *left < 0 {
			return errTooMany
		}
		e := &entry{layer: in.layer, name: path.Join(in.name, n), parent: dir}
		err := unix.Fstatat(int(dir.Fd()), n, &e.st, unix.AT_SYMLINK_NOFOLLOW)
		if errors.Is(err, unix.ENOENT) {
			continue // a process of the session has removed it meanwhile
		}
		if err != nil {
			return &os.PathError{Op: "stat", Path: e.name, Err: err}
		}
		if err := visit(e); err != nil {
			return err
		}
		if !e.dir() {
			continue
		}
		sub, err := openDir(dir, n)
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

func openDir(at *os.File, name string) (*os.File, error) {
	how := unix.OpenHow{Flags: unix.O_RDONLY | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC, Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS}
	fd, err := unix.Openat2(int(at.Fd()), name, &how)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: name, Err: err}
	}
	return os.NewFile(uintptr(fd), name), nil
}

// list reads the names in a directory, sorted, each once: one that a process
// removes and makes again meanwhile can be read twice, and be a link and then a
// directory. dir may be open as a path alone.
func list(dir *os.File) ([]string, error) {
	d, err := openDir(dir, ".")
	if err != nil {
		return nil, err
	}
	defer d.Close()
	names, err := d.Readdirnames(maxFiles + 1)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// mountOf is where in a root the layer shows: "/" for "upper".
func mountOf(layer string) string {
	name, ok := strings.CutPrefix(path.Dir(layer), "@")
	if !ok {
		return "/"
	}
	return "/" + strings.NewReplacer("%2F", "/", "%25", "%").Replace(name)
}
