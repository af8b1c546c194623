package requires

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

// desk is a machine with Debian 12's kernel.
func desk() Machine {
	has := func(names ...string) func(string) bool {
		return func(name string) bool { return slices.Contains(names, name) }
	}
	return Machine{Kernel: "6.1.0-56-amd64", Systemd: "252", CPU: 2, OS: "debian", OSVersion: "12",
		Config: func(o string) (string, bool) {
			return map[string]string{"USER_NS": "y", "FUSE_FS": "m", "HZ": "250"}[o], true
		},
		Module: has("nvidia", "fuse"), Filesystem: has("fuse", "overlay"),
		Driver: func(name string) string { return map[string]string{"nvidia": "550.54.14"}[name] },
		Image:  has("steve/gaming:1")}
}

func TestWhatIsNotThere(t *testing.T) {
	for _, c := range []struct {
		need List
		want string
	}{
		{List{}, ""},
		{List{Kernel: ">= 6.1, < 7", Systemd: ">= 252", Config: []string{"USER_NS", "CONFIG_FUSE_FS", "HZ=250"}, Modules: []string{"nvidia"}, Filesystems: []string{"overlay"},
			Drivers: []string{"nvidia = 550.54.14"}, CPU: "x86-64-v2", Host: []string{"fedora", "debian 12"}, Images: []string{"steve/gaming:1"}}, ""},
		{List{Kernel: ">= 6.6"}, "needs Linux >= 6.6, this host has 6.1.0-56-amd64"},
		{List{Systemd: "> 252"}, "needs systemd > 252, this host has 252"},
		{List{Config: []string{"HZ=1000"}}, "needs a kernel with CONFIG_HZ=1000, this host has 6.1.0-56-amd64 with 250"},
		{List{Config: []string{"CONFIG_NTSYNC"}}, "needs a kernel with CONFIG_NTSYNC, this host has 6.1.0-56-amd64 with none"},
		{List{Modules: []string{"amdgpu"}}, "needs the kernel module amdgpu, this host has none for Linux 6.1.0-56-amd64"},
		{List{Filesystems: []string{"zfs"}}, "needs the file system zfs, this host has none in Linux 6.1.0-56-amd64"},
		{List{Drivers: []string{"nvidia = 550.90"}}, "needs the driver nvidia = 550.90, this host has 550.54.14"},
		{List{Drivers: []string{"xe >= 1"}}, "needs the driver xe >= 1, this host has none for Linux 6.1.0-56-amd64"},
		{List{CPU: "x86-64-v3"}, "needs a processor of x86-64-v3, this host has x86-64-v2"},
		{List{Host: []string{"debian 13", "fedora"}}, "needs the system debian 13 or fedora, this host has debian 12"},
		{List{Images: []string{"steve/gaming:2"}}, "needs the image steve/gaming:2, this host has none of that name in its store"},
	} {
		if err := c.need.Validate(); err != nil {
			t.Errorf("%+v: %v", c.need, err)
		}
		var got []string
		for _, l := range c.need.On(desk()) {
			got = append(got, l.String())
		}
		if strings.Join(got, "; ") != c.want {
			t.Errorf("%+v: %q, not %q", c.need, got, c.want)
		}
	}
	m := desk()
	m.Config = func(string) (string, bool) { return "", false }
	if lacks := (List{Config: []string{"NTSYNC"}}).On(m); lacks != nil {
		t.Errorf("an option of a kernel that does not say: %v", lacks)
	}
}

func TestRanges(t *testing.T) {
	for _, c := range []struct {
		text, version string
		want          bool
	}{
		{"= 6.12", "6.12.118+deb13-cloud-amd64", true},
		{"= 6.1", "6.12.0", false},
		{"<= 6.12", "6.12.9", true},
		{"> 6.12", "6.12.9", false},
		{"> 6.12.8", "6.12.9", true},
		{">= 6.9", "6.10", true},
		{"< 6.10", "6.9-x", true},
		{">= 6.6, < 7", "7.0.1", false},
		{"= 550.54.14", "550.54", false},
		{"= 6.0", "6", true},
		{">= 1", "", false},
		{">= 1", "git-2026", false},
		{">= 18446744073709551616", "18446744073709551617", true},
	} {
		r, err := parseRange(c.text)
		if err != nil {
			t.Errorf("%s: %v", c.text, err)
		}
		if got := r.Holds(c.version); got != c.want {
			t.Errorf("%s holds for %q: %v", c.text, c.version, got)
		}
		if again, err := parseRange(r.String()); err != nil || !slices.Equal(again, r) {
			t.Errorf("%s: written as %s, %v", c.text, r, err)
		}
	}
}

func TestWrongWordsAreNamed(t *testing.T) {
	for _, c := range []struct {
		need List
		want string
	}{
		{List{Kernel: "6.6"}, "kernel:"},
		{List{Kernel: ">= 6.6 < 7"}, "kernel:"},
		{List{Systemd: "new"}, "systemd:"},
		{List{CPU: "x86-64-v9"}, "x86-64-v4"},
		{List{Modules: []string{"a b"}}, "modules:"},
		{List{Filesystems: []string{"../x"}}, "filesystems:"},
		{List{Config: []string{"A-B"}}, "config:"},
		{List{Host: []string{"Debian 12"}}, "host:"},
		{List{Images: []string{"-x"}}, "images:"},
		{List{Drivers: []string{"nvidia"}}, "drivers:"},
		{List{Drivers: []string{"nvidia 5"}}, "drivers:"},
		{List{Modules: make([]string, maxEach+1)}, "at most"},
		{List{Modules: []string{strings.Repeat("x", maxText+1)}}, "longer"},
	} {
		if err := c.need.Validate(); !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%.60v: %v", c.need, err)
		}
	}
}

func FuzzRange(f *testing.F) {
	f.Add(">= 6.6, < 7", "6.12.6-amd64")
	f.Add("= 550.54.14", "550.54")
	f.Fuzz(func(t *testing.T, text, version string) {
		r, err := parseRange(text)
		if err != nil {
			return
		}
		again, err := parseRange(r.String())
		if err != nil || again.Holds(version) != r.Holds(version) {
			t.Fatalf("%q is written as %q: %v", text, r, err)
		}
	})
}
