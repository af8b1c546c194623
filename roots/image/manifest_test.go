package image

import (
	"errors"
	"strings"
	"testing"

	"ninefold/roots/pkg"
	"ninefold/roots/requires"
)

func digest(s string) (d pkg.Digest) {
	copy(d[:], s)
	return d
}

func manifest() *Manifest {
	return &Manifest{
		Version: Version, Name: "xfce", Parent: digest("parent"), Finishing: digest("fin"), Lock: digest("lock"),
		Packages:    []Ref{{"a", "1:2.0-1~deb13u1", digest("aaaa")}, {"b", "2", digest("bbbb")}},
		Removed:     []string{"etc/x", "usr/share/doc"},
		Environment: map[string]string{"LANG": "C.UTF-8", "A": "<&>"},
	}
}

func TestDecodeTakesWhatEncodeGives(t *testing.T) {
	m := manifest()
	b, err := m.Encode()
	if err != nil {
		t.Fatal(err)
	}
	back, err := Decode(b)
	if err != nil {
		t.Fatal(err)
	}
	if back.ID() != m.ID() || back.Lock != m.Lock || back.Packages[1] != m.Packages[1] {
		t.Errorf("read %+v, wrote %+v", back, m)
	}
}

func TestIDDependsOnContentAlone(t *testing.T) {
	id := manifest().ID()
	for name, change := range map[string]func(*Manifest){
		"name":         func(m *Manifest) { m.Name = "other" },
		"lock":         func(m *Manifest) { m.Lock = digest("other") },
		"package name": func(m *Manifest) { m.Packages[0].Name, m.Packages[0].Version = "x", "9" },
	} {
		m := manifest()
		if change(m); m.ID() != id {
			t.Errorf("%s changes the id", name)
		}
	}
	for name, change := range map[string]func(*Manifest){
		"parent":      func(m *Manifest) { m.Parent = digest("other") },
		"package":     func(m *Manifest) { m.Packages[0].Digest = digest("aaab") },
		"finishing":   func(m *Manifest) { m.Finishing = pkg.Digest{} },
		"removed":     func(m *Manifest) { m.Removed = m.Removed[:1] },
		"environment": func(m *Manifest) { m.Environment["A"] = "" },
		"host":        func(m *Manifest) { m.Host = "debian-13" },
	} {
		m := manifest()
		if change(m); m.ID() == id {
			t.Errorf("%s does not change the id", name)
		}
	}
}

func TestDecodeIsStrict(t *testing.T) {
	b, err := manifest().Encode()
	if err != nil {
		t.Fatal(err)
	}
	good := string(b)
	for name, bad := range map[string]string{
		"unknown key":   strings.Replace(good, `"name"`, `"nmae"`, 1),
		"double key":    strings.Replace(good, `"version": 1,`, `"version": 1, "version": 1,`, 1),
		"trailing data": good + "{}",
		"spaces":        " " + good,
		"cut":           good[:len(good)/2],
		"unsorted":      strings.NewReplacer(digest("aaaa").String(), digest("cccc").String()).Replace(good),
		"name":          strings.Replace(good, `"xfce"`, `"../xfce"`, 1),
		"removed":       strings.Replace(good, `"etc/x"`, `"../etc/x"`, 1),
		"variable":      strings.Replace(good, `"LANG"`, `"LA=NG"`, 1),
		"empty":         "",
	} {
		if bad == good {
			t.Fatalf("%s: the test changes nothing", name)
		}
		if _, err := Decode([]byte(bad)); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := Decode([]byte(strings.Replace(good, `"version": 1,`, `"version": 3, "new": {},`, 1))); !errors.Is(err, ErrVersion) {
		t.Errorf("a newer version: %v", err)
	}
}

func FuzzDecode(f *testing.F) {
	b, _ := manifest().Encode()
	f.Add(b)
	f.Add([]byte(`{"version":1,"name":"a","packages":null}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := Decode(b)
		if err != nil {
			return
		}
		if again, err := m.Encode(); err != nil || string(again) != string(b) {
			t.Fatalf("decoded, but encodes as %q (%v)", again, err)
		}
	})
}

func TestRequirementsAreOfANewVersion(t *testing.T) {
	plain := &Manifest{Version: Version, Name: "a"}
	id := plain.ID()
	needing := &Manifest{Name: "a", Requires: requires.List{Kernel: ">= 6.6", Modules: []string{"fuse"}}}
	needing.Version = needing.Form()
	if needing.Version == Version || needing.ID() == id {
		t.Error("an image that needs something is the same as one that does not")
	}
	b, err := needing.Encode()
	if err != nil {
		t.Fatal(err)
	}
	again, err := Decode(b)
	if err != nil || again.ID() != needing.ID() || again.Requires.Kernel != ">= 6.6" {
		t.Errorf("%+v, %v", again, err)
	}
	for _, bad := range []string{
		strings.Replace(string(b), `"version": 2`, `"version": 1`, 1),
		strings.Replace(string(b), `">= 6.6"`, `"new"`, 1),
		`{"version":2,"name":"a","packages":null}`,
	} {
		if _, err := Decode([]byte(bad)); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", bad, err)
		}
	}
}
