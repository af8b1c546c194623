package contexts

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"ninefold/tests/needs"
)

func TestACloneIsAContextOfItsOwn(t *testing.T) {
	needs.Root(t)
	s := On(t.TempDir())
	r := create(t, s, 0, "foo")
	put(t, s.LayerDir(r, r.Layer), map[string]string{"upper/etc/a": "of foo", "upper/etc/gone": "-"})
	if err := s.Update(r, func(r *Record) error { r.Ask(Asked{Argv: []string{"true"}}); return nil }); err != nil {
		t.Fatal(err)
	}
	claim, err := s.Claim(r)
	if err != nil {
		t.Fatal(err)
	}
	defer claim.Release()
	if _, err := claim.Clone(t.Context(), "foo", 0, now); !errors.Is(err, ErrExists) {
		t.Errorf("a clone of its own name: %v", err)
	}
	made, err := claim.Clone(t.Context(), "bar", 0, now)
	if err != nil {
		t.Fatal(err)
	}
	got, err := s.Find(0, "bar")
	if err != nil || got.ID != made.ID || got.ID == r.ID || !got.Stands.Same(r.Stands) || len(got.Asked) != 1 || !slices.Equal(got.Asked[0].Argv, []string{"true"}) {
		t.Errorf("the clone: %+v, %v", got, err)
	}
	at := filepath.Join(s.LayerDir(got, got.Layer), "upper/etc")
	if b, err := os.ReadFile(filepath.Join(at, "a")); string(b) != "of foo" {
		t.Errorf("a file of the clone: %q, %v", b, err)
	}
	var st unix.Stat_t
	if err := unix.Lstat(filepath.Join(at, "gone"), &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFCHR || st.Rdev != 0 {
		t.Errorf("what is removed in the clone: %+v, %v", st, err)
	}
	if err := os.WriteFile(filepath.Join(at, "a"), []byte("of bar"), 0o644); err != nil {
		t.Fatal(err)
	}
	if b, _ := os.ReadFile(filepath.Join(s.LayerDir(r, r.Layer), "upper/etc/a")); string(b) != "of foo" {
		t.Errorf("after the clone was written to, the other has %q", b)
	}
	if err := s.Delete(r); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(at, "a")); err != nil {
		t.Errorf("after the other was deleted: %v", err)
	}
}
