package guests

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"ninefold/internal/mountinfo"
)

// maxFound bounds how many files are named for one guest.
const maxFound = 20

// search walks the file systems that the machine has mounted from its own disks
// and in its memory, each once, and returns the files that belong to one of the
// ids, as owner or group. Other machines' file systems are not walked: a guest has
// no network, and ids mean something else there.
func search(ctx context.Context, ids map[uint32]bool) (found map[uint32][]string, files uint64, err error) {
	roots, err := searchable()
	if err != nil {
		return nil, 0, err
	}
	found = map[uint32][]string{}
	for _, root := range roots {
		n, err := searchBelow(ctx, root, ids, found)
		files += n
		if err != nil {
			return nil, files, err
		}
	}
	return found, files, nil
}

// searchBelow walks the file system of root. What cannot be named, since its path
// is longer than the kernel takes, is passed over: anybody can make such a tree,
// and nobody's guest may wait for it. A guest's file could be in it only if root
// had put it there.
func searchBelow(ctx context.Context, root string, ids map[uint32]bool, found map[uint32][]string) (files uint64, err error) {
	var at unix.Stat_t
	if err := unix.Lstat(root, &at); err != nil {
		return 0, &os.PathError{Op: "stat", Path: root, Err: err}
	}
	err = filepath.WalkDir(root, func(name string, e fs.DirEntry, err error) error {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		var st unix.Stat_t
		if err == nil {
			if err = unix.Lstat(name, &st); err != nil {
				err = &os.PathError{Op: "stat", Path: name, Err: err}
			}
		}
		// It went while we looked, or somebody put another file in its place.
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ENAMETOOLONG) || errors.Is(err, unix.ELOOP) {
			return nil
		}
		if err != nil {
			return err
		}
		if st.Dev != at.Dev {
			if e.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		files++
		for _, id := range slices.Compact([]uint32{st.Uid, st.Gid}) {
			if ids[id] && len(found[id]) < maxFound {
				found[id] = append(found[id], "the file "+name)
			}
		}
		return nil
	})
	return files, err
}

// notFiles are file systems whose files are the kernel's, or another machine's.
var notFiles = []string{
	"autofs", "binfmt_misc", "bpf", "cgroup", "cgroup2", "configfs", "debugfs", "devpts", "efivarfs", "fusectl", "hugetlbfs", "mqueue", "nsfs",
	"proc", "pstore", "rpc_pipefs", "securityfs", "selinuxfs", "sysfs", "tracefs", "devtmpfs",
	"nfs", "nfs4", "cifs", "smb3", "9p", "virtiofs", "ceph", "afs", "squashfs", "erofs", "iso9660", "udf",
}

// searchable returns one mount point of each file system that is to be searched:
// the one that shows most of it.
func searchable() ([]string, error) {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	best := map[string]mountinfo.Mount{}
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		m, ok := mountinfo.Parse(lines.Text())
		if !ok {
			return nil, fmt.Errorf("a line of mountinfo that cannot be read: %q", lines.Text())
		}
		if slices.Contains(notFiles, m.Type) || strings.HasPrefix(m.Type, "fuse") && m.Type != "fuseblk" {
			continue
		}
		if have, seen := best[m.Device]; !seen || len(m.Root) < len(have.Root) {
			best[m.Device] = m
		}
	}
	var roots []string
	for _, m := range best {
		roots = append(roots, m.Point)
	}
	slices.Sort(roots)
	return roots, lines.Err()
}
