package finish

import (
	"context"
	"slices"
	"strings"
	"testing"

	"ninefold/roots/pkg"
)

func TestAlternatives(t *testing.T) {
	v := newTree(t, "bin -> usr/bin", "usr/bin/xterm = x", "usr/bin/uxterm = u", "usr/bin/kitty = k", "usr/bin/real = r",
		"usr/share/man/xterm.1 = m", "usr/bin/one = 1", "usr/bin/two = 2")
	run(t, v, "alternatives", Params{Declared: pkg.Declared{Alternatives: []pkg.Alternative{
		{Name: "term", Link: "/usr/bin/term", Path: "/usr/bin/uxterm", Priority: 10},
		{Name: "term", Link: "/usr/bin/term", Path: "/usr/bin/xterm", Priority: 20,
			Slaves: map[string]string{"/usr/share/man/term.1": "/usr/share/man/xterm.1", "/usr/share/man/gone.1": "/usr/share/man/absent.1"}},
		{Name: "term", Link: "/usr/bin/term", Path: "/usr/bin/absent", Priority: 90},
		{Name: "tie", Link: "/bin/tie", Path: "/usr/bin/two", Priority: 5},
		{Name: "tie", Link: "/bin/tie", Path: "/usr/bin/one", Priority: 5},
		{Name: "real", Link: "/usr/bin/real", Path: "/usr/bin/kitty", Priority: 5},
	}}})
	entries, _ := v.Result()
	var got []string
	for _, e := range entries {
		got = append(got, e.Path+" -> "+e.Target)
	}
	want := []string{
		"etc/alternatives/term -> /usr/bin/xterm", "etc/alternatives/term.1 -> /usr/share/man/xterm.1", "etc/alternatives/tie -> /usr/bin/one",
		"usr/bin/term -> /etc/alternatives/term", "usr/bin/tie -> /etc/alternatives/tie", "usr/share/man/term.1 -> /etc/alternatives/term.1",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	_, err := Run(context.Background(), v.objects, v, Options{Steps: []string{"alternatives"}, Params: Params{Recipe: pkg.Declared{
		Alternatives: []pkg.Alternative{{Name: "e", Link: "/usr/bin/e", Path: "/usr/bin/absent", Priority: 1}}}}})
	if err == nil || !strings.Contains(err.Error(), "/usr/bin/absent") {
		t.Errorf("a recipe's alternative that is not there: %v", err)
	}
}

// A candidate may lie behind the link of another alternative, whatever their names;
// an image that stands on this one then finds nothing to change.
func TestAlternativesBehindAlternatives(t *testing.T) {
	v := newTree(t, "usr/share/base/new-theme/bg.svg = n", "usr/share/old.svg = o")
	p := Params{Declared: pkg.Declared{Alternatives: []pkg.Alternative{
		{Name: "theme", Link: "/usr/share/base/theme", Path: "/usr/share/base/new-theme", Priority: 1},
		{Name: "background", Link: "/usr/share/bg", Path: "/usr/share/base/theme/bg.svg", Priority: 20},
		{Name: "background", Link: "/usr/share/bg", Path: "/usr/share/old.svg", Priority: 10},
	}}}
	run(t, v, "alternatives", p)
	if e, _ := v.Lookup("etc/alternatives/background"); e.Target != "/usr/share/base/theme/bg.svg" {
		t.Errorf("the background is %q", e.Target)
	}
	before, _ := v.Result()
	run(t, v, "alternatives", p)
	if after, _ := v.Result(); len(after) != len(before) || read(t, v, "usr/share/bg") != "n" {
		t.Errorf("a second time it makes %d links instead of %d", len(after), len(before))
	}
}

func TestShells(t *testing.T) {
	v := newTree(t, "bin -> usr/bin", "usr/bin/sh = s", "usr/bin/bash = b", shellsMaster+" = # shells\n/bin/sh\n",
		shellsDir+"/bash = bash\n", shellsDir+"/gone = gone\n")
	run(t, v, "shells", Params{})
	if got, want := read(t, v, "etc/shells"), "# shells\n/bin/sh\n/bin/bash\n/usr/bin/bash\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestBaseKeepsWhatIsThere(t *testing.T) {
	v := newTree(t, "usr/share/base-files/profile = p", "etc/hosts = mine", "var/run/", "var/lock/", "var/lock/file = x",
		groupMaster+" = mail:*:8:\n", passwdMaster+" = root:*:0:0:::\n")
	run(t, v, "base", Params{})
	for p, want := range map[string]string{"etc/hosts": "mine", "etc/machine-id": "", "etc/profile": "p"} {
		if got := read(t, v, p); got != want {
			t.Errorf("/%s is %q, want %q", p, got, want)
		}
	}
	if e, _ := v.Lookup("var/run"); e.Target != "/run" {
		t.Errorf("/var/run is %+v", e)
	}
	if e, _ := v.Lookup("var/lock"); e.Kind != pkg.Dir {
		t.Error("/var/lock was replaced although a package has a file in it")
	}
	if e, _ := v.Lookup("var/mail"); e.GID != 8 || e.Mode != 0o2775 {
		t.Errorf("/var/mail is %+v", e)
	}
}

func TestDesktopDatabase(t *testing.T) {
	v := newTree(t,
		"usr/share/applications/b.desktop = [Desktop Entry]\nMimeType=text/plain;image/png;\n[Desktop Action x]\nMimeType=no/no\n",
		"usr/share/applications/kde/a.desktop = [Desktop Entry]\nMimeType = text/plain;;bad;\n",
		"usr/share/applications/c.desktop = [Desktop Entry]\nName=none\n")
	run(t, v, "desktop-database", Params{})
	want := "[MIME Cache]\nimage/png=b.desktop;\ntext/plain=b.desktop;kde-a.desktop;\n"
	if got := read(t, v, "usr/share/applications/mimeinfo.cache"); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestDpkgDatabase(t *testing.T) {
	v := newTree(t, "usr/bin/dpkg = d", "etc/x.conf = abc", "var/lib/dpkg/", ControlDir+"/libx = Package: libx\nVersion: 2\nArchitecture: amd64\nMulti-Arch: same\nDescription: d\n more\n")
	conf, _ := v.Lookup("etc/x.conf")
	conf.Conffile = true
	run(t, v, "dpkg", Params{Packages: []Installed{
		{Name: "libx", Version: "2", Arch: "amd64", Entries: []pkg.Entry{conf, {Path: "usr/lib/libx.so"}}},
		{Name: "bare", Version: "1", Arch: "all"},
	}})
	want := "Package: bare\nStatus: install ok installed\nMaintainer: unknown\nArchitecture: all\nVersion: 1\nDescription: bare\n\n" +
		"Package: libx\nStatus: install ok installed\nVersion: 2\nArchitecture: amd64\nMulti-Arch: same\nDescription: d\n more\nConffiles:\n /etc/x.conf 900150983cd24fb0d6963f7d28e17f72\n\n"
	if got := read(t, v, dpkgStatus); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := read(t, v, dpkgInfo+"/libx:amd64.list"); got != "/.\n/etc\n/etc/x.conf\n/usr\n/usr/lib\n/usr/lib/libx.so\n" {
		t.Errorf("list %q", got)
	}
}

func FuzzTexts(f *testing.F) {
	f.Add([]byte(pamUnix), "[success=end default=end] x")
	f.Add([]byte("[Desktop Entry]\nMimeType=a/b;\n"), "")
	f.Fuzz(func(t *testing.T, text []byte, line string) {
		_ = parsePam(string(text))
		_ = desktopTypes(text)
		_ = jumpToEnd(line, 3)
		_, _ = subjectHash(text)
		_, _ = nameHash(text)
	})
}
