package finish

import (
	"context"
	"strings"
	"testing"

	"ninefold/roots/pkg"
)

const (
	masterPasswd = "root:*:0:0:root:/root:/bin/bash\ndaemon:*:1:1:daemon:/usr/sbin:/usr/sbin/nologin\n"
	masterGroup  = "root:*:0:\ndaemon:*:1:\nshadow:*:42:\ntaken:*:100:\n"
)

func masters(t testing.TB) *View {
	return newTree(t, passwdMaster+" = "+masterPasswd, groupMaster+" = "+masterGroup)
}

func TestUsersGetIdsFromTheirNamesAlone(t *testing.T) {
	a := []pkg.User{{Name: "zeta", UID: -1}, {Name: "alpha", UID: -1, Groups: []string{"extra"}}, {Name: "fixed", UID: 101, Home: "/var/fixed", Shell: "/bin/sh"}}
	b := []pkg.User{a[2], a[1], a[0]}
	var first string
	for _, users := range [][]pkg.User{a, b} {
		v := masters(t)
		run(t, v, "users", Params{Declared: pkg.Declared{Users: users, Groups: []pkg.Group{{Name: "kvm", GID: -1}}}})
		got := read(t, v, "etc/passwd") + read(t, v, "etc/group")
		if first == "" {
			first = got
		}
		if got != first {
			t.Errorf("the order of declarations matters:\n%s\n%s", first, got)
		}
	}
	for _, line := range []string{
		"root:x:0:0:root:/root:/bin/bash\n", "fixed:x:101:101::/var/fixed:/bin/sh\n",
		"alpha:x:102:102::/nonexistent:/usr/sbin/nologin\n", "extra:x:103:alpha\n", "kvm:x:104:\n", "zeta:x:105:105:",
	} {
		if !strings.Contains(first, line) {
			t.Errorf("no line %q in\n%s", line, first)
		}
	}
}

func TestUsersOfTheParentKeepTheirIds(t *testing.T) {
	v := masters(t)
	run(t, v, "users", Params{Declared: pkg.Declared{Users: []pkg.User{{Name: "mid", UID: -1}}}})
	before := read(t, v, "etc/passwd")
	run(t, v, "users", Params{Declared: pkg.Declared{Users: []pkg.User{{Name: "aaa", UID: -1}, {Name: "mid", UID: -1}}}})
	after := read(t, v, "etc/passwd")
	if !strings.HasPrefix(after, before) || !strings.Contains(after, "aaa:x:102:") {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
}

func TestUserInAGroupKnownByNumber(t *testing.T) {
	v := masters(t)
	run(t, v, "users", Params{Declared: pkg.Declared{Users: []pkg.User{{Name: "_apt", UID: -1, Group: "_apt"}}, Groups: []pkg.Group{{Name: "_apt", GID: 42}}}})
	if got := read(t, v, "etc/passwd"); !strings.Contains(got, "_apt:x:100:42:") {
		t.Errorf("passwd is\n%s", got)
	}
}

func TestNoPasswordOpensAnAccount(t *testing.T) {
	v := masters(t)
	run(t, v, "users", Params{})
	for line := range strings.Lines(read(t, v, "etc/shadow")) {
		if f := strings.Split(line, ":"); len(f) != 9 || f[1] != "*" {
			t.Errorf("shadow line %q", line)
		}
	}
	if e, _ := v.Stat("etc/shadow"); e.Mode != 0o640 || e.GID != 42 {
		t.Errorf("shadow is %#o with group %d", e.Mode, e.GID)
	}
}

func TestUsersThatCannotBe(t *testing.T) {
	for _, u := range []pkg.User{{Name: "x", UID: 1}, {Name: "a:b", UID: -1}, {Name: "x", UID: -1, Comment: "a\nroot2::0:0"}} {
		v := masters(t)
		_, err := Run(context.Background(), v.objects, v, Options{Steps: []string{"users"}, Params: Params{Declared: pkg.Declared{Users: []pkg.User{u}}}})
		if err == nil {
			t.Errorf("user %+v was accepted", u)
		}
	}
}

func TestOverridesResolveNamesAndRecipesWin(t *testing.T) {
	v := newTree(t, passwdMaster+" = "+masterPasswd, groupMaster+" = "+masterGroup, "usr/bin/tool = x", "usr/bin/ping = y", "bin -> usr/bin")
	run(t, v, "users", Params{})
	run(t, v, "overrides", Params{
		Declared: pkg.Declared{
			Overrides:    []pkg.Override{{Path: "/bin/tool", User: "root", Group: "shadow", Mode: 0o2755}, {Path: "/absent", User: "root", Group: "root", Mode: 0o755}},
			Capabilities: []pkg.Capability{{Path: "/usr/bin/ping", Caps: "cap_net_raw+ep"}},
		},
		Recipe: pkg.Declared{Overrides: []pkg.Override{{Path: "/usr/bin/tool", User: "#1", Group: "shadow", Mode: 0o4750}}},
	})
	e, _ := v.Lookup("usr/bin/tool")
	if e.UID != 1 || e.GID != 42 || e.Mode != 0o4750 {
		t.Errorf("tool is %+v", e)
	}
	p, _ := v.Lookup("usr/bin/ping")
	if len(p.Xattrs) != 1 || p.Xattrs[0].Name != "security.capability" {
		t.Errorf("ping is %+v", p)
	}
	_, err := Run(context.Background(), v.objects, v, Options{Steps: []string{"overrides"}, Params: Params{Recipe: pkg.Declared{
		Overrides: []pkg.Override{{Path: "/absent", User: "root", Group: "root", Mode: 0o755}}}}})
	if err == nil {
		t.Error("a recipe's override of a missing path was accepted")
	}
}

func FuzzAccounts(f *testing.F) {
	f.Add([]byte(masterPasswd))
	f.Add([]byte(masterGroup))
	f.Add([]byte("x:*:4294967295:0::/:/\n#\n\n:::"))
	f.Fuzz(func(t *testing.T, text []byte) {
		a := &accounts{}
		if a.parsePasswd("f", text) == nil {
			b := &accounts{}
			if err := b.parsePasswd("f", a.passwd()); err != nil || len(b.users) != len(a.users) {
				t.Errorf("written text is not read back: %v\n%s", err, a.passwd())
			}
		}
		_ = (&accounts{}).parseGroup("f", text)
	})
}
