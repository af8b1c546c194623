package contexts

import (
	"errors"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"ninefold/namespaces/upper"
)

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
