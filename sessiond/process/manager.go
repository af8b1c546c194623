package process

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

var unixEpoch = time.Unix(0, 0)

// CgroupOf returns the path of pid's cgroup in the tree that systemd keeps (the
// unified one, or the named one of a mixed set-up), relative to where the
// service manager's own tree begins: in a container that need not be /.
func CgroupOf(pid int) (string, error) {
	path, _, err := cgroupOf(pid)
	if err != nil {
		return "", err
	}
	t, err := cgroupTree()
	if err != nil {
		return "", err
	}
	return strings.TrimPrefix(path, t.root), nil
}

// tree is where the service manager's cgroups begin, and where they are mounted.
type tree struct{ root, mounted string }

// own is the tree once it is known: the service manager stays in its cgroup.
var own atomic.Pointer[tree]

func cgroupTree() (tree, error) {
	if t := own.Load(); t != nil {
		return *t, nil
	}
	root, mounted, err := cgroupOf(1)
	if err != nil {
		return tree{}, err
	}
	t := tree{strings.TrimSuffix(strings.TrimSuffix(root, "/init.scope"), "/"), mounted}
	own.Store(&t)
	return t, nil
}

// unified reports whether systemd keeps its tree in cgroup2 alone. A container can
// be in a named hierarchy of its host's that is mounted nowhere inside.
var unified = sync.OnceValue(func() bool {
	var fs unix.Statfs_t
	return unix.Statfs("/sys/fs/cgroup", &fs) == nil && fs.Type == unix.CGROUP2_SUPER_MAGIC
})

// cgroupOf returns the path, and where that hierarchy is mounted.
func cgroupOf(pid int) (path, mounted string, err error) {
	b, err := read("/proc/" + strconv.Itoa(pid) + "/cgroup")
	if err != nil {
		return "", "", err
	}
	mounted = "/sys/fs/cgroup"
	for line := range strings.Lines(string(b)) {
		line = strings.TrimSuffix(line, "\n")
		if p, ok := strings.CutPrefix(line, "0::"); ok {
			path = p
		}
		if _, p, ok := strings.Cut(line, ":name=systemd:"); ok && !unified() {
			return p, mounted + "/systemd", nil
		}
	}
	return path, mounted, nil
}

// UserManager finds the systemd --user of uid where systemd keeps it. It
// returns pid 0 when there is none.
func UserManager(uid uint32) (pid int, start uint64) {
	t, err := cgroupTree()
	if err != nil {
		return 0, 0
	}
	unit := filepath.Join(t.mounted, t.root, fmt.Sprintf("user.slice/user-%d.slice/user@%d.service", uid, uid))
	for _, dir := range []string{filepath.Join(unit, "init.scope"), unit} {
		b, err := read(filepath.Join(dir, "cgroup.procs"))
		if err != nil {
			continue
		}
		for _, word := range strings.Fields(string(b)) {
			n, err := strconv.Atoi(word)
			if err != nil {
				continue
			}
			name, _ := read("/proc/" + word + "/comm")
			var st unix.Stat_t
			if string(name) != "systemd\n" || unix.Stat("/proc/"+word, &st) != nil || st.Uid != uid {
				continue
			}
			if start, err := StartTime(n); err == nil {
				return n, start
			}
		}
	}
	return 0, 0
}
