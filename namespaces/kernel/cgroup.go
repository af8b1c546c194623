package kernel

import (
	"bufio"
	"errors"
	"os"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// cgroupRoot finds where the unified hierarchy (cgroup2) is mounted.
var cgroupRoot = sync.OnceValues(func() (string, error) {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return "", err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		before, after, ok := strings.Cut(lines.Text(), " - ")
		words := strings.Fields(before)
		if ok && strings.HasPrefix(after, "cgroup2 ") && len(words) > 4 {
			return words[4], nil
		}
	}
	return "", errors.Join(lines.Err(), errors.New("no cgroup2 file system is mounted"))
})

// Cgroup is a cgroup that bounds one session.
type Cgroup struct {
	Dir    FD // the cgroup
	Parent FD
	Name   string // below Parent
	// Procs is cgroup.procs, open for writing. What may be moved is asked of the
	// cgroup namespace in which it was opened (cgroup_namespaces(7)), so it is
	// opened before one is made.
	Procs FD
}

// Close closes the descriptors and leaves the cgroup.
func (c *Cgroup) Close() {
	c.Dir.Close()
	c.Parent.Close()
	c.Procs.Close()
}

// Remove removes the cgroup, which must be empty, and closes it.
func (c *Cgroup) Remove() {
	_ = unix.Unlinkat(int(c.Parent), c.Name, unix.AT_REMOVEDIR)
	c.Close()
}

// NewCgroup makes a cgroup called name below "ninefold" in the unified
// hierarchy and sets its interface files, such as "memory.max" (cgroups(7)).
// Controllers that are not delegated to this machine's root are an error.
func NewCgroup(name string, set map[string]string) (c Cgroup, err error) {
	c = Cgroup{Dir: None, Parent: None, Procs: None, Name: name}
	mount, err := cgroupRoot()
	if err != nil {
		return c, fail("make a cgroup", name, "", err)
	}
	root, err := OpenHost(mount)
	if err != nil {
		return c, err
	}
	defer root.Close()
	if err := Mkdir(root, "ninefold", 0o755, 0, 0); err != nil {
		return c, err
	}
	defer func() {
		if err != nil {
			c.Remove()
		}
	}()
	if c.Parent, err = OpenIn(root, "ninefold", unix.O_PATH|unix.O_DIRECTORY); err != nil {
		return c, err
	}
	for file := range set {
		controller, _, _ := strings.Cut(file, ".")
		for _, dir := range []FD{root, c.Parent} {
			if err := writeFileAt(dir, "cgroup.subtree_control", "+"+controller); err != nil {
				return c, &Error{Op: "use cgroup controller", Path: controller, Err: err,
					Hint: "this limit needs the " + controller + " controller in the unified cgroup hierarchy: see " + mount + "/cgroup.controllers"}
			}
		}
	}
	// One that is there belongs to another session: of an earlier process with
	// our pid, or of one in another container.
	if err := unix.Mkdirat(int(c.Parent), name, 0o755); err != nil {
		c.Parent.Close()
		return c, fail("make cgroup", name, "", err)
	}
	if c.Dir, err = OpenIn(c.Parent, name, unix.O_PATH|unix.O_DIRECTORY); err != nil {
		return c, err
	}
	for file, value := range set {
		if err := writeFileAt(c.Dir, file, value); err != nil {
			return c, fail("set cgroup limit", file+" = "+value, "", err)
		}
	}
	return c, c.openProcs()
}

func (c *Cgroup) openProcs() error {
	fd, err := unix.Openat(int(c.Dir), "cgroup.procs", unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fail("open cgroup.procs of", c.Name, "", err)
	}
	c.Procs = FD(fd)
	return nil
}

// CgroupControllers are those that NewCgroup can use; none where there is no
// unified hierarchy.
func CgroupControllers() []string {
	mount, err := cgroupRoot()
	if err != nil {
		return nil
	}
	b, _ := os.ReadFile(mount + "/cgroup.controllers")
	return strings.Fields(string(b))
}

// OpenCgroup opens a cgroup that NewCgroup made.
func OpenCgroup(name string) (Cgroup, error) {
	c := Cgroup{Dir: None, Parent: None, Procs: None, Name: name}
	mount, err := cgroupRoot()
	if err != nil {
		return c, fail("open cgroup", name, "", err)
	}
	if c.Dir, err = OpenHost(mount + "/ninefold/" + name); err == nil {
		if err = c.openProcs(); err != nil {
			c.Dir.Close()
		}
	}
	return c, err
}

func writeFileAt(dir FD, name, text string) error {
	fd, err := unix.Openat(int(dir), name, unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	_, err = unix.Write(fd, []byte(text))
	return err
}

// SweepCgroups removes empty cgroups whose keeper, the process that their name
// begins with, is gone: what is left when a session's first process itself was
// killed. A cgroup in use cannot be removed, so this is always safe.
func SweepCgroups() {
	mount, err := cgroupRoot()
	if err != nil {
		return
	}
	entries, err := os.ReadDir(mount + "/ninefold")
	if err != nil {
		return
	}
	for _, e := range entries {
		keeper, _, _ := strings.Cut(e.Name(), "-")
		pid, err := strconv.Atoi(keeper)
		if e.IsDir() && err == nil && unix.Kill(pid, 0) == unix.ESRCH {
			_ = os.Remove(mount + "/ninefold/" + e.Name())
		}
	}
}
