package vm

import (
	"context"
	"os"
	"path/filepath"
	"strings"
)

// packages are what a disk with a stock kernel has.
var packages = []string{"linux-image-cloud-amd64", "systemd-sysv", "udev", "procps", "xz-utils", "e2fsprogs", "iproute2"}

// cacheDir keeps disks between runs; they are made again when their recipe changes.
func cacheDir() string {
	if dir := os.Getenv("NINEFOLD_TEST_CACHE"); dir != "" {
		return dir
	}
	return "/var/cache/ninefold-tests"
}

// Stock returns the disk of a small Debian of that release with Debian's own kernel,
// which is made once, by mmdebstrap.
func Stock(ctx context.Context, suite string) (Disk, error) {
	dir := filepath.Join(cacheDir(), "vm-2-"+suite)
	if d, ok := Open(dir); ok {
		return d, nil
	}
	if err := os.MkdirAll(cacheDir(), 0o755); err != nil {
		return Disk{}, err
	}
	work, err := os.MkdirTemp(cacheDir(), "making-")
	if err != nil {
		return Disk{}, err
	}
	defer os.RemoveAll(work)
	tree := filepath.Join(work, "tree")
	if err := run(ctx, "mmdebstrap", "--quiet", "--variant=minbase", "--include="+strings.Join(packages, ","), suite, tree); err != nil {
		return Disk{}, err
	}
	return Make(ctx, tree, dir)
}
