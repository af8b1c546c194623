package contexts

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"ninefold/internal/record"
	"ninefold/internal/replace"
	"ninefold/namespaces/upper"
)

// HasBase reports whether a layer was used before.
func HasBase(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, Base))
	return err == nil
}

// HasPackages reports whether what a layer that was used stands on has dpkg.
func HasPackages(dir string) bool {
	st, err := os.Stat(filepath.Join(dir, Base, statusFile))
	return err == nil && st.Size() > 0
}

// KeepBase keeps the package lists of the machine below root with a layer that
// is about to be used for the first time. It reports whether it did.
func KeepBase(dir, root string) (bool, error) {
	base := filepath.Join(dir, Base)
	if HasBase(dir) {
		return false, nil
	}
	making := base + record.Aside
	if err := os.RemoveAll(making); err != nil {
		return false, err
	}
	for _, name := range []string{statusFile, extendedFile} {
		b, err := text(filepath.Join(root, name))
		if err != nil {
			return false, err
		}
		to := filepath.Join(making, name)
		if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
			return false, err
		}
		if err := replace.File(to, []byte(b), 0o600); err != nil {
			return false, err
		}
	}
	return true, os.Rename(making, base)
}

// Requests are what is to be asked of a package manager so that a fresh layer
// gets the packages of the one in use: names as apt takes them.
type Requests struct {
	Install []string // a name with a dash behind it is to be removed
	Manual  []string // to be marked as asked for
	Auto    []string
}

// Requests compares the packages of the layer in use with those it was begun on.
// Packages that came along with others come along again.
func (s *Store) Requests(r Record, root string) (q Requests, err error) {
	changes, err := comparePackagesIn(s.LayerDir(r, r.Layer), root)
	for _, c := range changes {
		name := c.Name
		if c.Arch != "all" && c.Arch != "" {
			name += ":" + c.Arch
		}
		switch c.Change {
		case "added":
			if !c.Auto {
				q.Install = append(q.Install, name)
			}
		case "removed":
			q.Install = append(q.Install, name+"-")
		case "upgraded":
			q.Install = append(q.Install, name)
			if c.Auto {
				q.Auto = append(q.Auto, name)
			}
		case "manual":
			q.Manual = append(q.Manual, name)
		case "auto":
			q.Auto = append(q.Auto, name)
		}
	}
	return q, err
}

// Since says how the packages of the machine below root changed since a layer
// was begun.
func (s *Store) Since(r Record, root string) ([]PackageChange, error) {
	base := filepath.Join(s.LayerDir(r, r.Layer), Base)
	if _, err := os.Stat(base); errors.Is(err, fs.ErrNotExist) {
		return nil, nil // it has not been used
	}
	var all [2]map[packageKey]installed
	for i, at := range []string{base, root} {
		status, err := text(filepath.Join(at, statusFile))
		if err != nil {
			return nil, err
		}
		extended, err := text(filepath.Join(at, extendedFile))
		if err != nil {
			return nil, err
		}
		if all[i], err = packagesOf(status, extended); err != nil {
			return nil, err
		}
	}
	return comparePackages(all[0], all[1]), nil
}

// Used is how much disk a context takes with all its states, in bytes. What
// states share is counted for each.
func (s *Store) Used(ctx context.Context, r Record) (bytes int64, err error) {
	if r.Size > 0 {
		return s.diskUsed(r)
	}
	layers, err := os.ReadDir(filepath.Join(s.Dir(r), layersDir))
	if err != nil {
		return 0, err
	}
	for _, l := range layers {
		err = walkLayer(ctx, s.LayerDir(r, l.Name()), func(e *upper.Entry) error {
			if e.Stat.Nlink < 2 || e.Stat.Mode&unix.S_IFMT == unix.S_IFDIR {
				bytes += e.Stat.Blocks * 512
			} else {
				bytes += e.Stat.Blocks * 512 / int64(e.Stat.Nlink)
			}
			return nil
		})
		if err != nil {
			return bytes, err
		}
	}
	return bytes, nil
}
