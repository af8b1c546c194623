package plan

import (
	"cmp"
	"path"
	"slices"
	"strconv"
	"strings"
)

// GuestHome is where a guest's home is.
const GuestHome = "/home/guest"

// GuestSize bounds each of the file systems in memory that a guest writes to,
// where the profile says nothing.
const GuestSize = 1 << 30

// GuestTasks bounds what a guest can have running, where the profile says nothing,
// so that a fork bomb leaves the rest of the machine usable: by the number of
// processes of its uid, which nobody else has (RLIMIT_NPROC, getrlimit(2)), and by
// its cgroup where there is one.
const GuestTasks = 2048

// guest makes a spec what a guest gets, whatever the profile says: every
// namespace, lo alone, the filter, a home in memory or one that the profile keeps, and
// a root that nothing can be written to. What a guest can do is taken away by how the session is built;
// the filter stands behind that.
func guest(s *Spec) {
	n := &s.Namespaces
	n.PID, n.IPC, n.UTS, n.Cgroup, n.Net = true, true, true, true, NetNone
	n.Hostname = cmp.Or(n.Hostname, "guest")
	s.Privileges.Seccomp = "default"
	s.NoBroker = true
	if s.Home != "none" && s.Home != "kept" {
		s.Home = "private"
	}
	s.Tmp, s.Media = "private", false
	up := Upper{Size: GuestSize}
	if s.Upper != nil && s.Upper.Size > 0 {
		up.Size = s.Upper.Size
	}
	s.Upper = &up // never a kept one
	s.Limits = slices.Clone(s.Limits)
	for _, l := range []Limit{{"nproc", GuestTasks}, {"core", 0}} {
		if !slices.ContainsFunc(s.Limits, func(have Limit) bool { return have.Name == l.Name }) {
			s.Limits = append(s.Limits, l)
		}
	}
}

// ForGuest returns a plan that was compiled for a guest with the id from, as the
// same for one with the id to. Whoever compiled it has made sure that the number
// from stands for nothing else in it. p is left as it is.
func (p *Plan) ForGuest(from, to uint32) *Plan {
	old, id := strconv.FormatUint(uint64(from), 10), strconv.FormatUint(uint64(to), 10)
	text := func(s string) string { return replaceNumber(s, old, id) }
	number := func(n uint32) uint32 {
		if n == from {
			return to
		}
		return n
	}
	out := &Plan{Class: p.Class, Ops: slices.Clone(p.Ops)}
	for i, op := range out.Ops {
		switch o := op.(type) {
		case Mount:
			o.Options = slices.Clone(o.Options)
			for j := range o.Options {
				o.Options[j] = text(o.Options[j])
			}
			op = o
		case Bind:
			o.Target = text(o.Target)
			op = o
		case Disk:
			o.UID, o.GID = number(o.UID), number(o.GID)
			op = o
		case Mkdir:
			o.Path, o.UID, o.GID = text(o.Path), number(o.UID), number(o.GID)
			op = o
		case File:
			o.Content, o.UID, o.GID = text(o.Content), number(o.UID), number(o.GID)
			op = o
		case Environment:
			o.Value = text(o.Value)
			op = o
		case Identity:
			o.UID, o.GID, o.Groups = number(o.UID), number(o.GID), slices.Clone(o.Groups)
			for j := range o.Groups {
				o.Groups[j] = number(o.Groups[j])
			}
			op = o
		}
		out.Ops[i] = op
	}
	return out
}

// replaceNumber puts with in the place of each old in s that is not a part of a
// longer number.
func replaceNumber(s, old, with string) string {
	digit := func(at int) bool { return at >= 0 && at < len(s) && s[at] >= '0' && s[at] <= '9' }
	var b strings.Builder
	done := 0
	for from := 0; ; {
		n := strings.Index(s[from:], old)
		if n < 0 {
			break
		}
		at := from + n
		from = at + len(old)
		if !digit(at-1) && !digit(from) {
			b.WriteString(s[done:at])
			b.WriteString(with)
			done = from
		}
	}
	if done == 0 {
		return s
	}
	b.WriteString(s[done:])
	return b.String()
}

// guestMounts are where the host's own file systems are those of its programs:
// any other (a disk with data, a stick, a network's) a guest does not see.
var guestMounts = [...]string{"/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/etc", "/var", "/opt", "/nix", "/gnu"}

// guestMasks are directories where machines keep what is people's. Much of it is
// readable to everybody by its mode, and none of it is a guest's business.
var guestMasks = [...]string{
	"/home", "/root", "/media", "/mnt", "/srv", "/boot", "/n",
	"/var/mail", "/var/spool", "/var/backups", "/var/log", "/var/crash", "/var/lib/ninefold", "/var/local",
}

// masks are those, and the homes of others elsewhere.
func (c *compiler) masks() []string {
	covered := append([]string{"/tmp", "/var/tmp"}, guestMasks[:]...)
	for _, home := range c.spec.Others {
		if home := path.Clean(home); path.IsAbs(home) && !belowAny(home, covered) && maskable(home) {
			covered = append(covered, home)
		}
	}
	return covered[2:]
}

// mask covers them with empty directories, and /var/tmp, which programs write
// to, with one in memory.
func (c *compiler) mask() {
	for _, target := range c.masks() {
		c.add(Mount{Type: "tmpfs", Target: target, Flags: inert, Options: []string{"mode=0755", "size=64k"}})
		c.readOnly = append(c.readOnly, target)
	}
	c.add(Mount{Type: "tmpfs", Target: "/var/tmp", Flags: Flags{NoSuid: true, NoDev: true}, Options: c.sized("mode=1777")})
	for _, dir := range [...]string{"/etc/pam.d", "/usr/lib/pam.d"} {
		c.add(Mount{Type: "tmpfs", Target: dir, Flags: inert, Options: []string{"mode=0755", "size=64k"}})
		c.readOnly = append(c.readOnly, dir)
	}
	c.add(File{Path: "/etc/pam.d/other", Mode: 0o644, Content: guestPAM})
}

// guestPAM is what programs in a guest's session ask PAM by, all of them (pam.d(5),
// the service other). Nothing in there can become anybody: who asks are lockers of the
// screen, which would ask for a password that there is not, and lock the guest out.
const guestPAM = `# Whatever locks the screen asks for the guest's own word: sessionctl guest word.
auth     sufficient pam_exec.so quiet expose_authtok ` + LibDir + `/sessionctl guest unlock
auth     required pam_deny.so
account  required pam_permit.so
password required pam_deny.so
session  required pam_permit.so
`

// shows reports whether a guest sees the host's file system on that path.
func (c *compiler) shows(mount string) bool {
	return belowAny(mount, guestMounts[:]) && !belowAny(mount, append(c.masks(), "/var/tmp"))
}

func belowAny(p string, dirs []string) bool {
	return slices.ContainsFunc(dirs, func(dir string) bool { return below(p, dir) })
}

// maskable reports whether a home can be covered without covering the system.
func maskable(home string) bool {
	return !slices.Contains([]string{"/", "/var", "/opt", "/var/lib", "/nonexistent"}, home) &&
		!belowAny(home, systemDirs[:])
}
