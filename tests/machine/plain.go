package machine

import (
	"context"
	"path/filepath"

	"ninefold/tests/vm"
)

// DiskOf returns the suite's machine as a disk with a kernel beside it, from the
// cache. It must not be changed.
func DiskOf(ctx context.Context, suite string) (vm.Disk, error) {
	tree, err := Tree(ctx, suite)
	if err != nil {
		return vm.Disk{}, err
	}
	dir, err := cached(filepath.Base(tree)+".vm", func(making string) error {
		_, err := vm.Make(ctx, tree, making)
		return err
	})
	d, _ := vm.Open(dir)
	return d, err
}

// plainDisk gives the machine a root of its own that is no overlay: ids of an
// overlay cannot be mapped.
func plainDisk(ctx context.Context, suite, dir string) error {
	d, err := DiskOf(ctx, suite)
	if err != nil {
		return err
	}
	return host(ctx, "cp", "--sparse=always", "--", d.Image, filepath.Join(dir, "plain"))
}
