package manager

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"ninefold/internal/mountinfo"
	"ninefold/namespaces/plan"
)

// View is what a live process sees, read from /proc.
type View struct {
	PID int `json:"pid"`
	// Profile, Class and User are what the session's record says; empty for a
	// process that is in no session.
	Profile string `json:"profile,omitempty"`
	Class   string `json:"class,omitempty"`
	User    string `json:"user,omitempty"`
	// Home is "shared", "dotfiles", "private" or "none".
	Home string `json:"home,omitempty"`
	// Plan is what is there, in the words of a plan. What cannot be read off a
	// process, such as links and files that were made, is not in it.
	Plan *plan.Plan `json:"-"`
	// Mounts is the mount table as the kernel tells it.
	Mounts []mountinfo.Mount `json:"mounts"`
}

// Look reads the view of process pid; 0 is the caller. It needs the right to
// trace the process.
func Look(pid int) (*View, error) {
	dir := "/proc/self"
	v := &View{PID: os.Getpid()}
	if pid != 0 {
		dir, v.PID = "/proc/"+strconv.Itoa(pid), pid
	}
	table, err := os.ReadFile(dir + "/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("read the view of process %d: %w", v.PID, err)
	}
	for s := bufio.NewScanner(bytes.NewReader(table)); s.Scan(); {
		if m, ok := mountinfo.Parse(s.Text()); ok {
			v.Mounts = append(v.Mounts, m)
		}
	}
	v.record(dir)
	ns, err := namespacesOf(dir)
	if err != nil {
		return nil, err
	}
	v.Plan = &plan.Plan{Class: plan.Class(v.Class), Ops: []plan.Op{ns}}
	host := hostTable(pid)
	for _, m := range v.Mounts {
		v.Plan.Ops = append(v.Plan.Ops, stepOf(m, v.Mounts, host))
	}
	status, err := statusOf(dir)
	if err != nil {
		return nil, err
	}
	v.Plan.Ops = append(v.Plan.Ops, status...)
	return v, nil
}

// record reads the session's own record. It lies in the process's root, which
// the user may have a hand in: no link leads out of that root, and what is read
// is for people, nothing is decided by it.
func (v *View) record(dir string) {
	root, err := unix.Open(dir+"/root", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return
	}
	defer unix.Close(root)
	fd, err := unix.Openat2(root, plan.SessionFile, &unix.OpenHow{
		Flags:   unix.O_RDONLY | unix.O_CLOEXEC | unix.O_NONBLOCK,
		Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS,
	})
	if err != nil {
		return
	}
	f := os.NewFile(uintptr(fd), plan.SessionFile)
	defer f.Close()
	// A pipe in its place would let us wait for ever.
	if st, err := f.Stat(); err != nil || !st.Mode().IsRegular() {
		return
	}
	var b [4096]byte
	n, _ := f.Read(b[:])
	for line := range strings.Lines(string(b[:n])) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		switch name {
		case "profile":
			v.Profile = value
		case "home":
			v.Home = value
		case "class":
			if value == string(plan.Trusted) || value == string(plan.Untrusted) {
				v.Class = value
			}
		case "user":
			v.User = value
		}
	}
}

// namespacesOf compares the namespaces of the process with those of PID 1 of
// the caller's pid namespace; what cannot be read counts as shared.
func namespacesOf(dir string) (plan.Namespaces, error) {
	differs := func(kind string) bool {
		a, err1 := os.Readlink(dir + "/ns/" + kind)
		b, err2 := os.Readlink("/proc/1/ns/" + kind)
		return err1 == nil && err2 == nil && a != b
	}
	if _, err := os.Readlink(dir + "/ns/mnt"); err != nil {
		return plan.Namespaces{}, fmt.Errorf("read the namespaces of a process: %w", err)
	}
	n := plan.Namespaces{PID: differs("pid"), IPC: differs("ipc"), UTS: differs("uts"), Cgroup: differs("cgroup"), Net: plan.NetHost, User: plan.UserHost}
	if differs("net") {
		n.Net = plan.NetNone
	}
	if differs("user") {
		n.User = plan.UserMapped
	}
	return n, nil
}

// hostTable is the caller's own mount table when it looks at another process:
// there a bind's source can be found by its device.
func hostTable(pid int) []mountinfo.Mount {
	if pid == 0 {
		return nil
	}
	b, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil
	}
	var out []mountinfo.Mount
	for line := range strings.Lines(string(b)) {
		if m, ok := mountinfo.Parse(strings.TrimSuffix(line, "\n")); ok {
			out = append(out, m)
		}
	}
	return out
}

// stepOf words a line of the mount table as the step that would make it.
func stepOf(m mountinfo.Mount, table, host []mountinfo.Mount) plan.Op {
	has := func(o string) bool { return slices.Contains(m.Options, o) }
	flags := plan.Flags{ReadOnly: has("ro"), NoSuid: has("nosuid"), NoDev: has("nodev"), NoExec: has("noexec")}
	if m.Type == "overlay" && m.Root == "/" {
		return overlayOf(m, flags)
	}
	for _, h := range host {
		// The same file system at a place of the host: a bind of that place.
		if h.Device == m.Device && within(m.Root, h.Root) {
			return plan.Bind{Source: path.Join(h.Point, strings.TrimPrefix(m.Root, h.Root)), Target: m.Point, Flags: flags}
		}
	}
	if m.Root != "/" {
		for _, t := range table {
			if t.Device == m.Device && t.Root == "/" {
				return plan.Bind{Source: path.Join(t.Point, m.Root), Target: m.Point, Flags: flags}
			}
		}
		return plan.Bind{Source: m.Root, Target: m.Point, Flags: flags}
	}
	typ := m.Type
	if typ == "tmpfs" && m.Point == "/dev" {
		typ = "dev"
	}
	return plan.Mount{Type: typ, Target: m.Point, Flags: flags}
}

func within(p, dir string) bool {
	return dir == "/" || p == dir || strings.HasPrefix(p, dir+"/")
}

func overlayOf(m mountinfo.Mount, flags plan.Flags) plan.Op {
	o := plan.Overlay{Target: m.Point, Flags: flags}
	for _, opt := range m.Super {
		name, value, _ := strings.Cut(opt, "=")
		value = mountinfo.Unescape(value)
		switch name {
		case "lowerdir", "lowerdir+":
			for _, l := range strings.Split(value, ":") {
				if l != "" {
					o.Lowers = append(o.Lowers, plan.Layer{Kind: plan.LayerDir, Source: l})
				}
			}
		case "upperdir":
			o.Upper = &plan.Upper{Dir: path.Dir(value)}
		}
	}
	return o
}

// statusOf words who the process is and what it may, from proc_pid_status(5).
func statusOf(dir string) ([]plan.Op, error) {
	b, err := os.ReadFile(dir + "/status")
	if err != nil {
		return nil, fmt.Errorf("read the status of a process: %w", err)
	}
	var id plan.Identity
	var may plan.Privileges
	for line := range strings.Lines(string(b)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		f := strings.Fields(value)
		if len(f) == 0 {
			continue
		}
		switch name {
		case "Uid":
			id.UID = number(f[0])
		case "Gid":
			id.GID = number(f[0])
		case "Groups":
			for _, g := range f {
				id.Groups = append(id.Groups, number(g))
			}
		case "CapEff":
			bits, _ := strconv.ParseUint(f[0], 16, 64)
			for i, name := range plan.Capabilities() {
				if bits&(1<<i) != 0 {
					may.Capabilities = append(may.Capabilities, name)
				}
			}
		case "NoNewPrivs":
			may.NoNewPrivs = f[0] == "1"
		case "Seccomp":
			if f[0] == "2" {
				may.Seccomp = "default"
			}
		}
	}
	return []plan.Op{may, id}, nil
}

func number(s string) uint32 {
	n, _ := strconv.ParseUint(s, 10, 32)
	return uint32(n)
}
