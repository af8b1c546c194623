package process

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
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
	return strings.TrimPrefix(path, cgroupRoot()), nil
}

func cgroupRoot() string {
	root, _, err := cgroupOf(1)
	if err != nil {
		return ""
	}
	return strings.TrimSuffix(strings.TrimSuffix(root, "/init.scope"), "/")
}

// unified reports whether systemd keeps its tree in cgroup2 alone. A container can
// be in a named hierarchy of its host's that is mounted nowhere inside.
var unified = sync.OnceValue(func() bool {
	var fs unix.Statfs_t
	return unix.Statfs("/sys/fs/cgroup", &fs) == nil && fs.Type == unix.CGROUP2_SUPER_MAGIC
})

// cgroupOf returns the path, and where that hierarchy is mounted.
func cgroupOf(pid int) (path, mounted string, err error) {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/cgroup")
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
	_, mounted, err := cgroupOf(1)
	if err != nil {
		return 0, 0
	}
	unit := filepath.Join(mounted, cgroupRoot(), fmt.Sprintf("user.slice/user-%d.slice/user@%d.service", uid, uid))
	for _, dir := range []string{filepath.Join(unit, "init.scope"), unit} {
		b, err := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
		if err != nil {
			continue
		}
		for _, word := range strings.Fields(string(b)) {
			n, err := strconv.Atoi(word)
			if err != nil {
				continue
			}
			name, _ := os.ReadFile("/proc/" + word + "/comm")
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
