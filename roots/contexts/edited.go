package contexts

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"ninefold/internal/regular"
	"ninefold/namespaces/upper"
	"ninefold/roots/debian/deb822"
)

// sumsIn are the MD5 sums, which is what dpkg keeps, of the files of packages
// that were installed or upgraded in a layer, as the packages brought them.
func sumsIn(dir string) (map[string]string, error) {
	sums := map[string]string{}
	lists := inLayer(dir, infoDir)
	entries, err := os.ReadDir(lists)
	if errors.Is(err, fs.ErrNotExist) {
		return sums, nil
	}
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".md5sums") || !e.Type().IsRegular() {
			continue
		}
		b, err := regular.Read(filepath.Join(lists, e.Name()), maxStatus)
		if err != nil {
			return nil, err
		}
		for line := range strings.Lines(string(b)) {
			if sum, name, ok := strings.Cut(strings.TrimSpace(line), "  "); ok {
				sums[merged("/"+name)] = sum
			}
		}
	}
	status, err := text(inLayer(dir, statusFile))
	if err != nil {
		return nil, err
	}
	return sums, paragraphs(status, func(p deb822.Paragraph) {
		for _, line := range deb822.Lines(p.Get("Conffiles")) {
			if f := strings.Fields(line); len(f) >= 2 {
				sums[merged(f[0])] = f[1]
			}
		}
	})
}

// packaged is what a layer says of the files of packages that were installed or
// upgraded in it: their packages, and their sums as those brought them.
type packaged struct{ owners, sums map[string]string }

func packagedIn(dir string) (p packaged, err error) {
	if p.owners, err = ownersIn(dir); err == nil {
		p.sums, err = sumsIn(dir)
	}
	return p, err
}

// Edited are the paths of those files of packages in a layer, which nobody writes to,
// that somebody has changed since. It reads all of them.
func (s *Store) Edited(ctx context.Context, r Record, layer string) (map[string]bool, error) {
	dir, out := s.LayerDir(r, layer), map[string]bool{}
	p, err := packagedIn(dir)
	if err != nil {
		return nil, err
	}
	err = walkLayer(ctx, dir, func(e *upper.Entry) error {
		if name := e.Path(); p.owners[merged(name)] != "" && edited(p.sums, e) {
			out[name] = true
		}
		return nil
	})
	return out, err
}

// edited reports whether a file that a package brought is another one by now. Of
// what has no sum nothing is known: it is taken for the package's.
func edited(sums map[string]string, e *upper.Entry) bool {
	want, ok := sums[merged(e.Path())]
	if !ok || e.Stat.Mode&unix.S_IFMT != unix.S_IFREG {
		return false
	}
	f, err := openAt(int(e.Parent.Fd()), e.Base())
	if err != nil {
		return false
	}
	defer f.Close()
	return md5Of(f) != want
}

func md5Of(r io.Reader) string {
	h := md5.New()
	if _, err := io.Copy(h, r); err != nil {
		return ""
	}
	return hex.EncodeToString(h.Sum(nil))
}

// originals is where a layer keeps files of the machine as they were before they
// were changed in it.
const originals = "files"

// KeepOriginals copies those files of the machine below root that a layer has
// changed or removed, as they were then: those that the machine has not changed
// since. Rebase merges by them. It is called when nobody is in the context. What is
// later than now was made before the clock went back, and is not gone by.
func (s *Store) KeepOriginals(ctx context.Context, r Record, root string, now time.Time) error {
	dir := s.LayerDir(r, r.Layer)
	owners, err := ownersIn(dir)
	if err != nil {
		return err
	}
	noted, err := directoriesOf(dir)
	if err != nil {
		return err
	}
	before := maps.Clone(noted)
	below := period{s.frozenSince(r, now), now}
	err = walkOver(ctx, dir, root, nil, func(c *comparison, e *upper.Entry) error {
		name := e.Path()
		if e.IsDir() {
			// Of what the machine does not have, nothing is kept.
			st, f, err := c.below(name)
			if err != nil {
				return fs.SkipDir
			}
			defer f.Close()
			if isOwn(name) || st.Mode&unix.S_IFMT != unix.S_IFDIR {
				return fs.SkipDir
			}
			return noteDirectory(noted, e, f, st, below)
		}
		if isOwn(name) || owners[merged(name)] != "" {
			return nil
		}
		to := filepath.Join(dir, Base, originals, name)
		if _, err := os.Lstat(to); err == nil {
			return nil
		}
		st, f, err := c.below(name)
		if err != nil {
			return nil // there is none, or a link is in the way
		}
		defer f.Close()
		if !below.unchanged(e, st) || st.Size > maxMerge {
			return nil
		}
		return keepNode(f, st, to)
	})
	if err != nil {
		return err
	}
	return keepDirectories(dir, before, noted)
}

// keepNode copies a file, a link, or a directory without what is in it, with its
// owner, mode and attributes.
func keepNode(f *os.File, st unix.Stat_t, to string) error {
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		return err
	}
	making := to + ".ninefold-new"
	if err := os.RemoveAll(making); err != nil {
		return err
	}
	n, err := nodeOf(f, st)
	if err != nil {
		return err
	}
	switch n.kind() {
	case unix.S_IFDIR:
		if err := os.Mkdir(to, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		return (&target{}).dress(unix.AT_FDCWD, to, n)
	case unix.S_IFLNK:
		text, err := readlink(int(f.Fd()), "")
		if err != nil {
			return err
		}
		if err := os.Symlink(text, making); err != nil {
			return err
		}
	case unix.S_IFREG:
		from, err := os.Open(procName(f))
		if err != nil {
			return err
		}
		defer from.Close()
		made, err := os.OpenFile(making, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return err
		}
		_, err = io.Copy(made, from)
		if err := errors.Join(err, made.Close()); err != nil {
			return err
		}
	default:
		return nil
	}
	if err := (&target{}).dress(unix.AT_FDCWD, making, n); err != nil {
		return err
	}
	return os.Rename(making, to)
}
