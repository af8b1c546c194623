package contexts

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"ninefold/tests/needs"
)

// TestWhatIsInPlaceIsSettled: who put the context's side of a conflict in place may
// have been killed before that was written down.
func TestWhatIsInPlaceIsSettled(t *testing.T) {
	needs.Root(t)
	s := On(t.TempDir())
	r := create(t, s, 0, "c")
	dir := s.LayerDir(r, r.Layer)
	for _, name := range []string{"/etc/placed", "/etc/open", "/etc/mode", "/etc/link/file"} {
		put(t, filepath.Join(dir, conflictsDir), map[string]string{name: "mine"})
	}
	put(t, dir, map[string]string{"upper/etc/placed": "mine", "upper/etc/open": "theirs", "upper/etc/mode": "mine", "elsewhere/file": "mine",
		"upper/etc/link": "> ../../elsewhere", "upper/etc/removed": "-"})
	if err := os.Chmod(filepath.Join(dir, "upper/etc/mode"), 0o600); err != nil {
		t.Fatal(err)
	}
	var all []Conflict
	for _, name := range []string{"/etc/placed", "/etc/open", "/etc/mode", "/etc/link/file", "/etc/removed", "/etc/there"} {
		all = append(all, Conflict{Path: name})
	}
	if err := s.KeepConflicts(r, r.Layer, all); err != nil {
		t.Fatal(err)
	}
	left, err := s.Conflicts(r)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, c := range left {
		got = append(got, c.Path)
	}
	if want := []string{"/etc/open", "/etc/mode", "/etc/link/file", "/etc/there"}; !slices.Equal(got, want) {
		t.Errorf("%v are not settled, want %v", got, want)
	}
}
