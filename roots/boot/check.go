package boot

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"ninefold/roots/image"
	"ninefold/roots/pkg"
)

// ErrImage says that a machine cannot start on an image.
var ErrImage = errors.New("the machine cannot start on it")

// Kernels lists the versions of the kernels that the image has modules of, with the
// index that modprobe(8) needs, sorted.
func Kernels(t *image.Tree) []string {
	var versions []string
	for _, e := range t.Entries {
		dir, base := path.Split(e.Path)
		if base != "modules.dep" || e.Kind != pkg.File {
			continue
		}
		version, ok := strings.CutPrefix(strings.TrimPrefix(dir, "usr/"), "lib/modules/")
		if version = strings.TrimSuffix(version, "/"); ok && version != "" && !strings.Contains(version, "/") {
			versions = append(versions, version)
		}
	}
	return versions
}

// Choose returns the first of the machine's kernels that the image has modules
// of. The error wraps ErrImage and names what either has.
func Choose(name string, t *image.Tree, machine []string) (string, error) {
	there := Kernels(t)
	for _, version := range machine {
		if slices.Contains(there, version) {
			return version, nil
		}
	}
	of := "of no kernel"
	if len(there) > 0 {
		of = "of " + strings.Join(there, ", ")
	}
	return "", fmt.Errorf("image %s: %w: it has modules %s, and this machine has Linux %s", name, ErrImage, of, strings.Join(machine, ", "))
}

// HasInit is an error that wraps ErrImage when the image has nothing that a
// kernel starts first.
func HasInit(name string, t *image.Tree) error {
	for _, p := range []string{"sbin/init", "usr/sbin/init"} {
		if e, _, ok := t.Lookup(p); ok && e.Kind != pkg.Dir {
			return nil
		}
	}
	return fmt.Errorf("image %s: %w: it has no /sbin/init", name, ErrImage)
}
