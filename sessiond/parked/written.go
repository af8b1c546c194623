package parked

import (
	"context"
	"errors"
	"os"
	"path"

	"golang.org/x/sys/unix"

	"ninefold/namespaces"
	"ninefold/namespaces/upper"
)

const (
	// maxFiles bounds what is looked at in a writable layer.
	maxFiles = 100_000
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
	err = l.walk(ctx, func(e *upper.Entry) error {
		if e.IsDir() || !l.since.written(&e.Stat) {
			return nil
		}
		a.Files++
		if e.Stat.Mode&unix.S_IFMT == unix.S_IFREG {
			a.Bytes += e.Stat.Size
		}
		return nil
	})
	if errors.Is(err, upper.ErrTooMany) {
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

func (l *Layers) walk(ctx context.Context, visit func(*upper.Entry) error) error {
	return upper.Walk(ctx, l.dir, maxFiles, visit)
}
