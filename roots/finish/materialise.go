package finish

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"ninefold/roots/pkg"
)

// materialiser writes entries as a directory tree that serves as an overlay's
// lower. The tree is private (below the store, 0700 root) and nobody else
// writes to it, so names can be used as they are.
type materialiser struct {
	root string
	view *View
	dirs map[string]bool // whose attributes are set last
}

func (m *materialiser) at(p string) string { return filepath.Join(m.root, p) }

func (m *materialiser) put(e *pkg.Entry) error {
	if err := m.parents(e.Path); err != nil {
		return err
	}
	at := m.at(e.Path)
	if e.Kind == pkg.Dir {
		if err := m.mkdir(e.Path); err != nil {
			return err
		}
		return nil
	}
	if err := os.RemoveAll(at); err != nil {
		return err
	}
	switch {
	case IsWhiteout(e):
		return unix.Mknod(at, unix.S_IFCHR, 0)
	case e.Kind == pkg.Symlink:
		if err := os.Symlink(e.Target, at); err != nil {
			return err
		}
	case e.Kind == pkg.File && e.Link != "":
		return os.Link(m.at(e.Link), at)
	case e.Kind == pkg.File:
		if err := m.copy(at, e); err != nil {
			return err
		}
	case e.Kind == pkg.Fifo:
		if err := unix.Mkfifo(at, 0o600); err != nil {
			return err
		}
	default:
		return fmt.Errorf("a device cannot be shown")
	}
	return attributes(at, e)
}

func (m *materialiser) parents(p string) error {
	for i := range len(p) {
		if p[i] == '/' {
			if err := m.mkdir(p[:i]); err != nil {
				return err
			}
		}
	}
	return nil
}

func (m *materialiser) mkdir(p string) error {
	if m.dirs[p] {
		return nil
	}
	m.dirs[p] = true
	err := os.Mkdir(m.at(p), 0o755)
	if errors.Is(err, fs.ErrExist) {
		info, statErr := os.Lstat(m.at(p))
		if statErr == nil && !info.IsDir() {
			if err = os.Remove(m.at(p)); err == nil {
				return os.Mkdir(m.at(p), 0o755)
			}
			return err
		}
		return statErr
	}
	return err
}

func (m *materialiser) copy(at string, e *pkg.Entry) (err error) {
	in, err := m.view.objects.Object(e.Digest)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(at, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

// finish gives directories their attributes, deepest first, because putting
// something into one moves its time: caches are compared with these times.
func (m *materialiser) finish() error {
	dirs := sortedKeys(m.dirs)
	slices.SortFunc(dirs, func(a, b string) int { return strings.Compare(b, a) })
	for _, p := range dirs {
		e, ok := m.view.Lookup(p)
		if !ok || e.Kind != pkg.Dir {
			e = pkg.Entry{Path: p, Kind: pkg.Dir, Mode: 0o755}
		}
		if err := attributes(m.at(p), &e); err != nil {
			return fmt.Errorf("/%s: %w", p, err)
		}
	}
	return nil
}

func attributes(at string, e *pkg.Entry) error {
	if err := os.Lchown(at, int(e.UID), int(e.GID)); err != nil {
		return err
	}
	if e.Kind != pkg.Symlink {
		// After chown, which clears setuid bits.
		if err := unix.Chmod(at, e.Mode); err != nil {
			return err
		}
	}
	for _, x := range e.Xattrs {
		if err := unix.Lsetxattr(at, x.Name, x.Value, 0); err != nil {
			return fmt.Errorf("set attribute %s: %w", x.Name, err)
		}
	}
	t := unix.NsecToTimespec(e.MTime * 1e9)
	return unix.UtimesNanoAt(unix.AT_FDCWD, at, []unix.Timespec{t, t}, unix.AT_SYMLINK_NOFOLLOW)
}
