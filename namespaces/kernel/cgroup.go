package kernel

import (
	"bufio"
	"errors"
	"os"
	"path/filepath"
	"slices"
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
	Group  string // the parent's name, below the root of the hierarchy
	Name   string // below Parent
	// Procs is cgroup.procs, open for writing. What may be moved is asked of the
	// cgroup namespace in which it was opened (cgroup_namespaces(7)), so it is
	// opened before one is made.
	Procs FD
}

// Path names the cgroup for OpenCgroup.
func (c *Cgroup) Path() string { return c.Group + "/" + c.Name }

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

// CgroupGroup begins the names of the cgroups below which sessions have theirs.
const CgroupGroup = "ninefold"

// NewCgroup makes a cgroup called name below the one called group, which begins
// with CgroupGroup, at the root of the unified hierarchy. It sets interface files
// (cgroups(7)): those of shared, such as "cpu.weight", on the group, whose share of
// the machine all in it have together, and those of own, such as "memory.max", on
// the cgroup itself. A value of several lines is written line by line. Controllers
// that are not delegated to this machine's root are an error.
func NewCgroup(group, name string, shared, own map[string]string) (c Cgroup, err error) {
	c = Cgroup{Dir: None, Parent: None, Procs: None, Group: group, Name: name}
	root, mount, err := openCgroups(group)
	if err != nil {
		return c, err
	}
	defer root.Close()
	defer func() {
		if err != nil {
			c.Remove()
		}
	}()
	if c.Parent, err = OpenIn(root, group, unix.O_PATH|unix.O_DIRECTORY); err != nil {
		return c, err
	}
	for file := range shared {
		if err := useController(root, file, mount); err != nil {
			return c, err
		}
	}
	for file := range own {
		for _, dir := range []FD{root, c.Parent} {
			if err := useController(dir, file, mount); err != nil {
				return c, err
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
	if err := setFiles(c.Parent, shared); err != nil {
		return c, err
	}
	if err := setFiles(c.Dir, own); err != nil {
		return c, err
	}
	return c, c.openProcs()
}

// openCgroups opens the root of the hierarchy, below which the group then is.
func openCgroups(group string) (root FD, mount string, err error) {
	if mount, err = cgroupRoot(); err != nil {
		return None, "", fail("make a cgroup", group, "", err)
	}
	if root, err = OpenHost(mount); err != nil {
		return None, "", err
	}
	if err := Mkdir(root, group, 0o755, 0, 0); err != nil {
		root.Close()
		return None, "", err
	}
	return root, mount, nil
}

// useController has the children of dir get the controller of an interface file.
func useController(dir FD, file, mount string) error {
	controller, _, _ := strings.Cut(file, ".")
	if err := writeFileAt(dir, "cgroup.subtree_control", "+"+controller); err != nil {
		return &Error{Op: "use cgroup controller", Path: controller, Err: err,
			Hint: "this limit needs the " + controller + " controller in the unified cgroup hierarchy: see " + mount + "/cgroup.controllers"}
	}
	return nil
}

func setFiles(dir FD, set map[string]string) error {
	for file, value := range set {
		for line := range strings.Lines(value) {
			line = strings.TrimSuffix(line, "\n")
			err := writeFileAt(dir, file, line)
			if err == unix.ENOENT && file == ioWeight {
				err = writeFileAt(dir, bfqWeight, line)
			}
			if err != nil {
				return fail("set cgroup limit", file+" = "+line, "", err)
			}
		}
	}
	return nil
}

// What the kernel calls the weight of I/O: the file of its cost model, or that of
// the scheduler bfq (cgroup-v2 in the kernel's documentation). It may have neither.
const (
	ioWeight  = "io.weight"
	bfqWeight = "io.bfq.weight"
)

func (c *Cgroup) openProcs() error {
	fd, err := unix.Openat(int(c.Dir), "cgroup.procs", unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fail("open cgroup.procs of", c.Name, "", err)
	}
	c.Procs = FD(fd)
	return nil
}

// CanSetCgroup reports whether NewCgroup can set an interface file.
func CanSetCgroup(file string) bool {
	controller, _, _ := strings.Cut(file, ".")
	if !slices.Contains(CgroupControllers(), controller) {
		return false
	}
	// These do not come with each kernel that has the controller.
	names := map[string][]string{ioWeight: {ioWeight, bfqWeight}, "memory.swap.max": {"memory.swap.max"}}[file]
	if names == nil {
		return true
	}
	root, mount, err := openCgroups(CgroupGroup)
	if err != nil {
		return false
	}
	defer root.Close()
	if useController(root, file, mount) != nil {
		return false
	}
	for _, name := range names {
		if _, err := os.Stat(mount + "/" + CgroupGroup + "/" + name); err == nil {
			return true
		}
	}
	return false
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

// OpenCgroup opens a cgroup that NewCgroup made, by its Path.
func OpenCgroup(path string) (Cgroup, error) {
	c := Cgroup{Dir: None, Parent: None, Procs: None}
	c.Group, c.Name, _ = strings.Cut(path, "/")
	mount, err := cgroupRoot()
	if err != nil {
		return c, fail("open cgroup", path, "", err)
	}
	if c.Dir, err = OpenHost(mount + "/" + path); err == nil {
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
	groups, _ := filepath.Glob(mount + "/" + CgroupGroup + "*")
	for _, group := range groups {
		entries, _ := os.ReadDir(group)
		for _, e := range entries {
			keeper, _, _ := strings.Cut(e.Name(), "-")
			pid, err := strconv.Atoi(keeper)
			if e.IsDir() && err == nil && unix.Kill(pid, 0) == unix.ESRCH {
				_ = os.Remove(group + "/" + e.Name())
			}
		}
	}
}
