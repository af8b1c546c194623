package contexts

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"

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
	if err := c.s.Unstood(c.rec, c.rec.Layer); err != nil { // its homes are moved
		return fail(err)
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
