package store

import (
	"os"
	"strings"
	"testing"

	"ninefold/roots/erofs"
	"ninefold/roots/image"
)

// flip changes one bit of a file.
func flip(t *testing.T, path string, bit int) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b[bit/8] ^= 1 << (bit % 8)
	os.Chmod(path, 0o600)
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestVerifyFindsOneBitAndNamesFileAndPackage(t *testing.T) {
	s := open(t)
	a := putPackage(t, s, "aaa", "one", "two", "three")
	id := putImage(t, s, "base", image.ID{}, a, putPackage(t, s, "bbb", "four", "two"))
	img, err := erofs.Build([]erofs.Node{{Link: erofs.None, Mode: erofs.Dir | 0o755}})
	if err != nil {
		t.Fatal(err)
	}
	composed := "composefs/" + id.String() + ".erofs"
	if err := s.Write(composed, img); err != nil {
		t.Fatal(err)
	}
	if damage, err := s.Verify(t.Context()); err != nil || len(damage) > 0 {
		t.Fatalf("untouched: %v, %v", damage, err)
	}
	two := s.path("objects", ObjectPath(put(t, s, "two")))
	for name, tc := range map[string]struct {
		path string
		bit  int
		want []string
	}{
		"object":   {two, 9, []string{"/aaa/0001 of package aaa 1 in image base: its content has changed", "/bbb/0001 of package bbb 1"}},
		"package":  {s.path("packages", a.String()), 99, []string{"package aaa 1 of image base"}},
		"image":    {s.path("images", id.String()), 1700, []string{"image " + id.Short()}},
		"composed": {s.path(composed), 8 * 2000, []string{composed}},
	} {
		flip(t, tc.path, tc.bit)
		damage, err := s.Verify(t.Context())
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		var all []string
		for _, d := range damage {
			all = append(all, d.String())
		}
		for _, want := range tc.want {
			if !strings.Contains(strings.Join(all, "\n"), want) {
				t.Errorf("%s: %q does not say %q", name, all, want)
			}
		}
		flip(t, tc.path, tc.bit)
	}
	os.Remove(two)
	damage, err := s.Verify(t.Context(), id)
	if err != nil || len(damage) != 2 || !strings.Contains(damage[0].String(), "missing") {
		t.Errorf("an object is gone: %v, %v", damage, err)
	}
}

func TestDiscardLetsABuildRepair(t *testing.T) {
	s := open(t)
	build := func() image.ID { return putImage(t, s, "base", image.ID{}, putPackage(t, s, "aaa", "one", "two")) }
	id := build()
	flip(t, s.path("objects", ObjectPath(put(t, s, "two"))), 3)
	damage, err := s.Verify(t.Context())
	if err != nil || len(damage) != 1 {
		t.Fatalf("%v, %v", damage, err)
	}
	if err := s.Discard(damage); err != nil {
		t.Fatal(err)
	}
	if build() != id {
		t.Error("another image came out")
	}
	if damage, err := s.Verify(t.Context()); err != nil || len(damage) > 0 {
		t.Errorf("after the build: %v, %v", damage, err)
	}
}
