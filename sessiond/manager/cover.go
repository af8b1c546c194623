package manager

import (
	"path"

	"ninefold/namespaces/plan"
)

// hostsOwn are programs that change what belongs to the host: accounts and jobs
// for later. In a view they would change a copy that goes with it, and say that
// all is well.
var hostsOwn = []string{
	"/usr/bin/passwd", "/usr/bin/chsh", "/usr/bin/chfn", "/usr/bin/gpasswd", "/usr/bin/chage",
	"/usr/bin/crontab", "/usr/bin/at", "/usr/bin/batch", "/usr/bin/atrm",
	"/usr/sbin/chpasswd", "/usr/sbin/useradd", "/usr/sbin/usermod", "/usr/sbin/userdel",
}

// HostsOwn reports whether a command of that name is one that a view has of
// Ninefold's in the place of its own.
func HostsOwn(name string) bool {
	for _, p := range hostsOwn {
		if path.Base(p) == name {
			return true
		}
	}
	return false
}

// covers are links that put ninefold-ctl, which knows by what name it is called,
// in the place of those programs.
func covers() []plan.Link {
	out := make([]plan.Link, len(hostsOwn))
	for i, p := range hostsOwn {
		out[i] = plan.Link{Text: plan.LibDir + "/ninefold-ctl", Path: p}
	}
	return out
}

// commands are links by which people find sessionctl where no root of the
// machine's brings it: a login shell sets a PATH of its own.
func commands() []plan.Link {
	var out []plan.Link
	for _, name := range []string{"sessionctl", "host-open"} {
		out = append(out, plan.Link{Text: plan.LibDir + "/sessionctl", Path: "/usr/bin/" + name})
	}
	return out
}
