package main

import (
	"errors"
	"strings"
	"testing"
)

func TestADropInStartsTheSameThroughTheWrapper(t *testing.T) {
	one := execLine{Path: "/usr/bin/foot", Argv: []string{"/usr/bin/foot", "--server", "a b", `q"\`, "100%", "$HOME", ""}, Flags: []string{"ignore-failure"}}
	text, err := dropIn("/usr/lib/ninefold/ninefold-enter", "dev", []execLine{one})
	want := "[Service]\nExecStart=\nExecStart=-/usr/lib/ninefold/ninefold-enter session -p dev -- /usr/bin/foot --server \"a b\" \"q\\\"\\\\\" 100%% $HOME \"\"\n"
	if err != nil || !strings.HasSuffix(text, want) {
		t.Errorf("got %s %v", text, err)
	}
	again := execLine{Path: "/usr/lib/ninefold/ninefold-enter", Argv: append([]string{"/usr/lib/ninefold/ninefold-enter", "session", "-p", "old", "--"}, one.Argv...), Flags: one.Flags}
	if twice, err := dropIn("/usr/lib/ninefold/ninefold-enter", "dev", []execLine{again}); err != nil || twice != text {
		t.Errorf("a second time: %s %v", twice, err)
	}
	for name, bad := range map[string][]execLine{
		"nothing":       nil,
		"another name":  {{Path: "/bin/sh", Argv: []string{"-sh"}}},
		"no whole path": {{Path: "foot", Argv: []string{"foot"}}},
		"privileged":    {{Path: "/bin/sh", Argv: []string{"/bin/sh"}, Flags: []string{"privileged"}}},
	} {
		if _, err := dropIn("/e", "dev", bad); !errors.Is(err, errUnit) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestNamesOfUnits(t *testing.T) {
	for name, want := range map[string]bool{
		"a.service": true, "app-x@1.service": true, `dbus-\x2d.service`: true, "a.socket": false, ".service": false, "a@.service": false,
		"../a.service": false, "a/b.service": false, "-a.service": false, ".a.service": false, "a b.service": false, "a\n.service": false,
	} {
		if isUnit(name) != want {
			t.Errorf("%q: %v", name, !want)
		}
	}
}
