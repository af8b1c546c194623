package contexts

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// TestWhatIsStoodOnStays goes through what a change could do to a state that a
// session stands on.
func TestWhatIsStoodOnStays(t *testing.T) {
	s := On(t.TempDir())
	r := create(t, s, 0, "foo")
	file := filepath.Join(s.LayerDir(r, "1"), "upper", "file")
	if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, nil, 0o644)); err != nil {
		t.Fatal(err)
	}
	claim := func() *Claim {
		t.Helper()
		c, err := s.Claim(r)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	c := claim()
	held, err := c.Stand()
	if err != nil || len(held) != 1 {
		t.Fatal(held, err)
	}
	more, err := c.Stand()
	if err != nil {
		t.Fatal("a second one:", err)
	}
	c.Release()
	if stood, err := s.Stood(r, "1"); err != nil || !stood {
		t.Errorf("it is not stood on: %v", err)
	}
	if err := s.Delete(r); !errors.Is(err, ErrStood) || !errors.Is(err, ErrInUse) {
		t.Errorf("delete: %v", err)
	}
	c = claim()
	if err := c.Pin(t.Context(), Pin{Root: t.TempDir()}, nil); !errors.Is(err, ErrStood) {
		t.Errorf("pin: %v", err)
	}
	// Another state, while no record speaks of the first any more.
	for range MaxPoints + 1 {
		if err := c.Snapshot(t.Context(), now); err != nil {
			t.Fatal(err)
		}
	}
	r = c.Record()
	if r.names("1") {
		t.Fatal("the first state is still known")
	}
	if _, err := os.Stat(file); err != nil {
		t.Errorf("what is stood on was removed: %v", err)
	}
	if err := s.Unstood(r, r.Layer); err != nil {
		t.Errorf("the new state: %v", err)
	}
	closeAll(held)
	if err := s.Unstood(r, ""); !errors.Is(err, ErrStood) {
		t.Errorf("while one is left: %v", err)
	}
	closeAll(more)
	if err := s.Unstood(r, ""); err != nil {
		t.Errorf("when all are gone: %v", err)
	}
	if err := c.Snapshot(t.Context(), now); err != nil {
		t.Fatal(err)
	}
	c.Release()
	if left, _ := filepath.Glob(filepath.Join(s.Dir(r), "*", "1")); len(left) > 0 {
		t.Errorf("it is left: %q", left)
	}
	if err := s.Delete(r); err != nil {
		t.Error(err)
	}
}

// TestALookFollowsNoLink: what root of a context puts in a layer leads nowhere.
func TestALookFollowsNoLink(t *testing.T) {
	dir, secret := t.TempDir(), filepath.Join(t.TempDir(), "secret")
	for name, text := range map[string]string{secret: "secret", dir + "/etc/file": "text"} {
		if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o755), os.WriteFile(name, []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(os.Symlink(secret, dir+"/etc/link"), os.Symlink(filepath.Dir(secret), dir+"/way"), os.Mkdir(dir+"/etc/dir", 0o755)); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"/etc/file": "text", "/etc/link": "", "/way/secret": "", "/etc/dir": "", "/etc/none": "", "/none/file": ""} {
		if text, ok, err := Text(dir, name); err != nil || text != want || ok != (want != "") {
			t.Errorf("%s: %q %v %v", name, text, ok, err)
		}
	}
	if _, ok, err := Text(filepath.Join(dir, "none"), "/etc/file"); ok || err != nil {
		t.Errorf("of a layer that is not there: %v %v", ok, err)
	}
	for name, want := range map[string]bool{"/etc/file": true, "/etc/link": true, "/way/secret": false, "/etc/none": false} {
		if has, hides, err := Has(dir, name); err != nil || has != want || hides {
			t.Errorf("%s: %v %v %v", name, has, hides, err)
		}
	}
}
