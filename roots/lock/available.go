package lock

import (
	"path/filepath"

	"ninefold/roots/pkg"
)

// Available is the newest version of a package in its archives, and the
// version of the source package that it is made of.
type Available struct{ Version, Source string }

// Known returns the lock files in directories of recipes by their digests. One
// that cannot be read is that of no image.
func Known(dirs ...string) map[pkg.Digest]*Lock {
	all := map[pkg.Digest]*Lock{}
	for _, dir := range dirs {
		files, _ := filepath.Glob(filepath.Join(dir, "*.lock"))
		for _, file := range files {
			l, err := Read(file)
			if err != nil {
				continue
			}
			if d, err := l.Digest(); err == nil {
				all[d] = l
			}
		}
	}
	return all
}
