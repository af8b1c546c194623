package finish

import (
	"errors"

	"ninefold/roots/pkg"
)

// copies are the files that base-files, libc-bin and others keep aside and
// their scripts put in place once.
var copies = []struct {
	to   string
	mode uint32
	from []string // the first that exists
}{
	{"etc/nsswitch.conf", 0o644, []string{"usr/share/libc-bin/nsswitch.conf", "usr/share/base-files/nsswitch.conf"}},
	{"etc/profile", 0o644, []string{"usr/share/base-files/profile"}},
	{"etc/motd", 0o644, []string{"usr/share/base-files/motd"}},
	{"root/.profile", 0o644, []string{"usr/share/base-files/dot.profile"}},
	{"root/.bashrc", 0o644, []string{"usr/share/base-files/dot.bashrc"}},
	{"usr/share/info/dir", 0o644, []string{"usr/share/base-files/info.dir"}},
}

// localDirs are made by base-files' script, as the FHS wants them.
var localDirs = []string{
	"usr/local/bin", "usr/local/etc", "usr/local/games", "usr/local/include", "usr/local/lib",
	"usr/local/sbin", "usr/local/share", "usr/local/share/man", "usr/local/src", "var/opt",
}

const hosts = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n"

// baseStep puts in place what every Debian system has and no package ships: a
// name service configuration, a login profile, an empty machine-id for the
// session to fill, UTC, the links of /var into /run.
var baseStep = step{
	name: "base", summary: "nsswitch.conf, profile, empty machine-id, UTC and the links of /var", revision: 1, machine: true,
	reads: func(v *View, _ *Params) inputs {
		c := collect(v)
		any := false
		for _, f := range copies {
			for _, from := range f.from {
				any = c.path(from) || any
			}
		}
		if !any {
			return inputs{}
		}
		for _, p := range []string{"etc/machine-id", "etc/localtime", "etc/hosts", "etc/mtab", "etc/environment",
			"etc/group", "usr/share/zoneinfo/Etc/UTC", "usr/bin/dbus-daemon", "var/lib/dbus/machine-id", "var/mail"} {
			c.path(p)
		}
		for _, f := range copies {
			c.path(f.to)
		}
		for _, d := range localDirs {
			c.path(d)
		}
		for _, d := range []string{"var/run", "var/lock"} {
			c.path(d)
			c.below(d, nil)
		}
		return c.inputs()
	},
	do: func(j *job) error {
		v, o := j.view, j.out
		var errs []error
		once := func(p string, mode uint32, content string) {
			if _, there := v.Lookup(p); !there {
				errs = append(errs, o.file(p, mode, []byte(content)))
			}
		}
		for _, f := range copies {
			for _, from := range f.from {
				if v.Has(from) {
					b, err := v.Read(from)
					if err != nil {
						return err
					}
					once(f.to, f.mode, string(b))
					break
				}
			}
		}
		once("etc/environment", 0o644, "")
		once("etc/hosts", 0o644, hosts)
		once("etc/machine-id", 0o444, "")
		link := func(p, target string) {
			if _, there := v.Lookup(p); !there {
				o.link(p, target)
			}
		}
		link("etc/mtab", "../proc/self/mounts")
		if v.Has("usr/share/zoneinfo/Etc/UTC") {
			link("etc/localtime", "/usr/share/zoneinfo/Etc/UTC")
			once("etc/timezone", 0o644, "Etc/UTC\n")
		}
		if v.Has("usr/bin/dbus-daemon") {
			link("var/lib/dbus/machine-id", "/etc/machine-id")
		}
		emptyToLink(v, o, "var/run", "/run")
		emptyToLink(v, o, "var/lock", "/run/lock")
		for _, d := range localDirs {
			if !v.Has(d) {
				o.dir(d, 0o755, 0, 0)
			}
		}
		if err := mailDir(v, o); err != nil {
			return err
		}
		return errors.Join(errs...)
	},
}

// emptyToLink replaces a directory in which no package put anything.
func emptyToLink(v *View, o *output, p, target string) {
	e, there := v.Lookup(p)
	if there && e.Kind != pkg.Dir {
		return
	}
	for range v.Below(p) {
		return
	}
	o.link(p, target)
}

func mailDir(v *View, o *output) error {
	if v.Has("var/mail") {
		return nil
	}
	a, err := readAccounts(v)
	if err != nil {
		return err
	}
	gid := uint32(0)
	if g := a.group("mail"); g != nil {
		gid = uint32(g.gid)
	}
	o.dir("var/mail", 0o2775, 0, gid)
	return nil
}
