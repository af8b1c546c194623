package debian

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"ninefold/roots/debian/deb822"
)

func TestRelationNames(t *testing.T) {
	got := relationNames(nil, "a (>= 1:2) | b:any, c [amd64] <!x>,\n d|e,")
	if want := []string{"a", "b", "c", "d", "e"}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %q", got)
	}
}

func TestReachable(t *testing.T) {
	x := newIndex()
	stanza := func(name, more string) {
		t.Helper()
		text := "Package: " + name + "\nVersion: 1\nArchitecture: all\n" + more + "Filename: pool/" + name + ".deb\nSize: 1\nSHA256: " + strings.Repeat("0", 64) + "\nDescription: x\n"
		if err := x.add("http://m", text); err != nil {
			t.Fatal(err)
		}
	}
	stanza("a", "Depends: b | virtual\nRecommends: r\nSuggests: s\n")
	stanza("b", "Pre-Depends: c\nConflicts: z\n")
	stanza("c", "Depends: a\n")
	stanza("p", "Provides: virtual (= 1)\n")
	for _, name := range []string{"r", "s", "z"} {
		stanza(name, "")
	}
	for _, tt := range []struct {
		recommends bool
		want       string
	}{{false, "a b c p"}, {true, "a b c p r"}} {
		text := x.reachable([]string{"a"}, tt.recommends)
		var got []string
		for line := range strings.Lines(text) {
			if name, ok := strings.CutPrefix(line, "Package: "); ok {
				got = append(got, strings.TrimSpace(name))
			}
		}
		if strings.Join(got, " ") != tt.want {
			t.Errorf("reachable are %v, want %s", got, tt.want)
		}
		if strings.Contains(text, "Description") || strings.Contains(text, "Suggests") {
			t.Errorf("apt is given what it does not need:\n%s", text)
		}
	}
}

func TestIndexRefuses(t *testing.T) {
	for name, text := range map[string]string{
		"no file":   "Package: a\nVersion: 1\nArchitecture: all\n",
		"way out":   "Package: a\nVersion: 1\nArchitecture: all\nFilename: ../../etc/x\nSize: 1\nSHA256: " + strings.Repeat("0", 64) + "\n",
		"no size":   "Package: a\nVersion: 1\nArchitecture: all\nFilename: a\nSHA256: " + strings.Repeat("0", 64) + "\n",
		"bad hash":  "Package: a\nVersion: 1\nArchitecture: all\nFilename: a\nSize: 1\nSHA256: 00\n",
		"no fields": "just text\n",
	} {
		if err := newIndex().add("http://m", text); !errors.Is(err, deb822.ErrSyntax) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestParseSimulation(t *testing.T) {
	got, err := parseSimulation("NOTE: This is only a simulation!\nInst libc6 [2.36-9] (2.36-10 Debian:12.1/stable, Debian-Security:12/stable-security [amd64]) []\nInst tzdata (2024a-0 volatile-packages-file [all])\nConf libc6 (2.36-10 x [amd64])\n")
	want := []choice{{"libc6", "2.36-10", "amd64", "2.36-9"}, {"tzdata", "2024a-0", "all", ""}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v", got, err)
	}
	if _, err := parseSimulation("Remv bash [5.2]\n"); !errors.Is(err, ErrUnsatisfiable) {
		t.Errorf("got %v", err)
	}
	if _, err := parseSimulation("Inst what\n"); err == nil {
		t.Error("an answer that means nothing was taken")
	}
}

func FuzzIndex(f *testing.F) {
	f.Add("Package: a\nVersion: 1\nArchitecture: all\nDepends: b | c (>= 1), d:any\nProvides: e (= 1)\nFilename: pool/a.deb\nSize: 1\nSHA256: "+strings.Repeat("0", 64)+"\n", "b")
	f.Fuzz(func(t *testing.T, text, want string) {
		x := newIndex()
		if x.add("http://m", text) != nil {
			return
		}
		x.essentials()
		reachable := x.reachable([]string{want}, true)
		if again := newIndex(); again.add("http://m", reachable) != nil {
			t.Errorf("apt would be given %q", reachable)
		}
		x.check([]string{want, want + "=1"}, "s")
	})
}
