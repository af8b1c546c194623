package guests

import (
	"bufio"
	"cmp"
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

// searchBelow walks the file system of root, as far as no other one is mounted over it. What
// cannot be named, since its path is longer than the kernel takes, is passed over: anybody
// can make such a tree, and nobody's guest may wait for it. A guest's file could be in it only
// if root had put it there.
func searchBelow(ctx context.Context, root string, ids map[uint32]bool, found map[uint32][]string) (files uint64, err error) {
	top, err := look(root, 0)
	if err != nil {
		return 0, err
	}
	err = filepath.WalkDir(root, func(name string, e fs.DirEntry, err error) error {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		var st unix.Statx_t
		if err == nil {
			st, err = look(name, unix.STATX_UID|unix.STATX_GID)
		}
		switch {
		// It went while we looked, or somebody put another file in its place.
		case errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ENAMETOOLONG) || errors.Is(err, unix.ELOOP):
			return nil
		case another(name, st, top, err):
			if e.IsDir() {
				return fs.SkipDir
			}
			return nil
		case err != nil:
			return err
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

// look asks what the kernel knows of a name by itself: no file system of a user's (FUSE) or
// of another machine's is asked, and none is mounted for it (statx(2)).
func look(name string, mask int) (st unix.Statx_t, err error) {
	const flags = unix.AT_SYMLINK_NOFOLLOW | unix.AT_NO_AUTOMOUNT | unix.AT_STATX_DONT_SYNC
	if err := unix.Statx(unix.AT_FDCWD, name, flags, mask, &st); err != nil {
		return st, &os.PathError{Op: "statx", Path: name, Err: err}
	}
	return st, nil
}

// another reports whether another file system than that of top is mounted on name, of which
// look has said st. One that is its user's alone says no more to root than that.
func another(name string, st, top unix.Statx_t, err error) bool {
	if errors.Is(err, fs.ErrPermission) {
		st, err = look(name, 0)
	}
	return err == nil && st.Attributes&unix.STATX_ATTR_MOUNT_ROOT != 0 && (st.Dev_major != top.Dev_major || st.Dev_minor != top.Dev_minor)
}

// notFiles are file systems whose files are the kernel's, or nobody's to change.
var notFiles = []string{
	"autofs", "binfmt_misc", "bpf", "cgroup", "cgroup2", "configfs", "debugfs", "devpts", "efivarfs", "fusectl", "hugetlbfs", "mqueue", "nsfs",
	"proc", "pstore", "rpc_pipefs", "securityfs", "selinuxfs", "sysfs", "tracefs", "devtmpfs", "squashfs", "erofs", "iso9660", "udf",
}

// isForeign reports whether another machine, or a program of a user's, answers for the
// files of a file system, or does not.
func isForeign(typ string) bool {
	return slices.Contains([]string{"nfs", "nfs4", "cifs", "smb3", "9p", "virtiofs", "ceph", "afs"}, typ) ||
		strings.HasPrefix(typ, "fuse") && typ != "fuseblk" && typ != "fusectl"
}

// searchable returns mount points by which everything is seen that is to be searched, each
// file once.
func searchable() ([]string, error) {
	f, err := os.Open("/proc/thread-self/mountinfo") // of the names that this thread has
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var own []mountinfo.Mount
	var foreign []string
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		m, ok := mountinfo.Parse(lines.Text())
		switch {
		case !ok:
			return nil, fmt.Errorf("a line of mountinfo that cannot be read: %q", lines.Text())
		case isForeign(m.Type):
			foreign = append(foreign, m.Point)
		case !slices.Contains(notFiles, m.Type):
			own = append(own, m)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	slices.SortFunc(own, func(a, b mountinfo.Mount) int { return cmp.Compare(len(a.Root), len(b.Root)) })
	var roots []string
	seen := map[string][]string{} // the directories of a device that are searched
	for _, m := range own {
		above := func(dir string) bool { return isBelow(m.Root, dir) }
		if slices.ContainsFunc(seen[m.Device], above) || !visible(m, foreign) {
			continue
		}
		seen[m.Device] = append(seen[m.Device], m.Root)
		roots = append(roots, m.Point)
	}
	slices.Sort(roots)
	return roots, nil
}

// visible reports whether a mount can be reached by its name, and nobody has mounted
// something over it. Through what is foreign no way is tried.
func visible(m mountinfo.Mount, foreign []string) bool {
	if slices.ContainsFunc(foreign, func(point string) bool { return isBelow(m.Point, point) }) {
		return false
	}
	st, err := look(m.Point, unix.STATX_MNT_ID)
	return err == nil && st.Mnt_id == uint64(m.ID)
}

// isBelow reports whether a name is dir, or lies below it.
func isBelow(name, dir string) bool {
	return name == dir || strings.HasPrefix(name, strings.TrimSuffix(dir, "/")+"/")
}
