package image

import (
	"errors"
	"strings"
	"testing"

	"ninefold/roots/pkg"
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
	if _, err := Decode([]byte(strings.Replace(good, `"version": 1,`, `"version": 2, "new": {},`, 1))); !errors.Is(err, ErrVersion) {
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
