package attack

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"ninefold/namespaces/plan"
)

// A rule is one part of how a guest's session is built. Without weakens a plan by that
// part alone; what then lies in its place is what the test has put below stage.
type rule struct {
	name    string
	without func(p *plan.Plan, stage string)
	on      string // another rule, without which this one has nothing to hold
}

// keeper is the rule that a session gets nothing of its keeper's. No plan says so, and so
// none can be without it: what is told of it is tried in a process of the test's own.
const keeper = "nothing of the keeper's"

// people and memory are where a guest has empty directories, and directories in
// memory of its own.
var (
	people = []string{"/home", "/root", "/media", "/mnt", "/srv", "/boot", "/var/mail", "/var/spool", "/var/backups", "/var/log"}
	memory = []string{"/tmp", "/var/tmp", "/dev/shm", "/home/guest"}
)

// doors are sockets of the host's that the probe knocks at.
var doors = []string{"/run/dbus/system_bus_socket", "/run/systemd/private", "/run/systemd/notify", "/run/systemd/journal/socket",
	"/run/systemd/journal/stdout", "/run/systemd/resolve/io.systemd.Resolve", "/run/systemd/userdb/io.systemd.DynamicUser",
	"/run/systemd/machine/io.systemd.Machine", "/run/udev/control", "/run/nscd/socket", "/run/docker.sock", "/run/podman/podman.sock",
	"/run/containerd/containerd.sock", "/run/ninefold/door", "/run/ninefold/broker/host", "/run/cups/cups.sock", "/run/pcscd/pcscd.comm",
	"/run/snapd.socket", "/tmp/.X11-unix/X0", "/dev/log"}

// devices are the host's that the weakened session has, by their numbers.
var devices = map[string][2]uint32{"kmsg": {1, 11}, "fuse": {10, 229}, "sda": {7, 0}}

var rules = []rule{
	{name: "PID namespace", without: namespace(func(n *plan.Namespaces) { n.PID = false })},
	{name: "IPC namespace", without: namespace(func(n *plan.Namespaces) { n.IPC = false })},
	{name: "network namespace", without: namespace(func(n *plan.Namespaces) { n.Net = plan.NetHost })},
	{name: "UTS namespace", without: namespace(func(n *plan.Namespaces) { n.UTS, n.Hostname = false, "" })},
	{name: "cgroup namespace", without: namespace(func(n *plan.Namespaces) { n.Cgroup = false })},
	{name: "user namespace", without: namespace(func(n *plan.Namespaces) { n.User = plan.UserHost })},
	{name: "no capabilities", without: privileges(func(r *plan.Privileges) { r.Capabilities = own() })},
	{name: "no_new_privs", without: privileges(func(r *plan.Privileges) { r.NoNewPrivs = false })},
	{name: "filter", without: privileges(func(r *plan.Privileges) { r.Seccomp = "" })},
	{name: "nosuid", without: flags(func(f *plan.Flags) { f.NoSuid = false })},
	{name: "nodev", without: flags(func(f *plan.Flags) { f.NoDev = false })},
	{name: "read-only root", without: func(p *plan.Plan, _ string) {
		p.Ops = slices.DeleteFunc(p.Ops, func(op plan.Op) bool { r, ok := op.(plan.ReadOnly); return ok && r.Target == "/" })
	}},
	{name: "writable in memory alone", without: func(p *plan.Plan, stage string) {
		before(p, guestBin, plan.Bind{Source: stage + "/shared", Target: guestBin + "-shared"})
	}},
	{name: "overlay", without: func(p *plan.Plan, _ string) {
		before(p, guestBin, plan.Bind{Source: machines, Target: machines})
	}},
	{name: "empty directories", without: covers(people)},
	{name: "own directories in memory", without: covers(memory)},
	{name: "own /run", without: covers([]string{"/run"})},
	{name: "own /dev", without: func(p *plan.Plan, stage string) {
		at := slices.IndexFunc(p.Ops, func(op plan.Op) bool { m, ok := op.(plan.Mount); return ok && m.Target == "/dev/mqueue" })
		for _, name := range []string{"kmsg", "fuse", "sda", "log"} {
			p.Ops = slices.Insert(p.Ops, at, plan.Op(plan.Bind{Source: stage + "/dev/" + name, Target: "/dev/" + name}))
		}
	}},
	{name: "bounds", on: "own directories in memory", without: func(p *plan.Plan, _ string) {
		p.Ops = slices.DeleteFunc(p.Ops, func(op plan.Op) bool { _, ok := op.(plan.Limit); return ok })
		for i, op := range p.Ops {
			if m, ok := op.(plan.Mount); ok && slices.Contains(memory, m.Target) {
				m.Options = slices.DeleteFunc(slices.Clone(m.Options), func(o string) bool { return strings.HasPrefix(o, "size=") })
				p.Ops[i] = m
			}
		}
	}},
}

// before binds something before what is bound to target.
func before(p *plan.Plan, target string, op plan.Bind) {
	at := slices.IndexFunc(p.Ops, func(op plan.Op) bool { b, ok := op.(plan.Bind); return ok && b.Target == target })
	p.Ops = slices.Insert(p.Ops, at, plan.Op(op))
}

// own are the capabilities that this process can hand on: what a machine's container
// lacks, nobody in it has.
func own() (names []string) {
	for i, name := range plan.Capabilities() {
		if set, err := unix.PrctlRetInt(unix.PR_CAPBSET_READ, uintptr(i), 0, 0, 0); err == nil && set == 1 {
			names = append(names, name)
		}
	}
	return names
}

func namespace(f func(*plan.Namespaces)) func(*plan.Plan, string) {
	return func(p *plan.Plan, _ string) {
		n := p.Ops[0].(plan.Namespaces)
		f(&n)
		p.Ops[0] = n
	}
}

func privileges(f func(*plan.Privileges)) func(*plan.Plan, string) {
	return func(p *plan.Plan, _ string) {
		for i, op := range p.Ops {
			if r, ok := op.(plan.Privileges); ok {
				f(&r)
				p.Ops[i] = r
			}
		}
	}
}

func flags(f func(*plan.Flags)) func(*plan.Plan, string) {
	return func(p *plan.Plan, _ string) {
		for i, op := range p.Ops {
			switch o := op.(type) {
			case plan.Overlay:
				f(&o.Flags)
				p.Ops[i] = o
			case plan.Bind:
				f(&o.Flags)
				p.Ops[i] = o
			case plan.Mount:
				f(&o.Flags)
				p.Ops[i] = o
			}
		}
	}
}

// covers puts what is staged in the place of a guest's own directories.
func covers(targets []string) func(*plan.Plan, string) {
	return func(p *plan.Plan, stage string) {
		for i, op := range p.Ops {
			if m, ok := op.(plan.Mount); ok && slices.Contains(targets, m.Target) {
				p.Ops[i] = plan.Bind{Source: stage + m.Target, Target: m.Target, Flags: m.Flags}
			}
		}
	}
}

// weakened returns a guest's plan without any of the rules but kept; "" keeps none.
func weakened(text []byte, stage, kept string) (*plan.Plan, error) {
	p, err := plan.Parse("guest", text)
	if err != nil {
		return nil, err
	}
	p.Class = plan.Trusted // or what is weak would not be let in
	var on string
	for _, r := range rules {
		if r.name == kept {
			on = r.on
		}
	}
	for _, r := range rules {
		if r.name != kept && r.name != on {
			r.without(p, stage)
		}
	}
	return p, nil
}

// furnish makes what a weakened session has of the machine's in the place of its own.
func furnish(stage string) error {
	for _, d := range append(append([]string{"/run/user/4242", "/shared", "/dev"}, people...), memory...) {
		at := filepath.Join(stage, d)
		if err := os.MkdirAll(at, 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(at, "somebody-s"), []byte("not a guest's business\n"), 0o644); err != nil {
			return err
		}
	}
	for _, d := range append([]string{"/shared"}, memory...) {
		if err := os.Chmod(filepath.Join(stage, d), 0o777|os.ModeSticky); err != nil {
			return err
		}
	}
	for name, n := range devices {
		if err := device(filepath.Join(stage, "dev", name), n, name == "sda"); err != nil {
			return fmt.Errorf("make the device %s: %w", name, err)
		}
	}
	return nil
}
