package contexts

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"ninefold/tests/needs"
)

// TestWhatIsInPlaceIsSettled: who put the context's side of a conflict in place may
// have been killed before that was written down.
func TestWhatIsInPlaceIsSettled(t *testing.T) {
	needs.Root(t)
	s := On(t.TempDir())
	r := create(t, s, 0, "c")
	dir := s.LayerDir(r, r.Layer)
	write := func(text, at, name string, mode os.FileMode) {
		t.Helper()
		file := filepath.Join(dir, at, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"/etc/placed", "/etc/open", "/etc/mode", "/etc/link/file"} {
		write("mine", conflictsDir, name, 0o644)
	}
	write("mine", "upper", "/etc/placed", 0o644)
	write("theirs", "upper", "/etc/open", 0o644)
	write("mine", "upper", "/etc/mode", 0o600)
	write("mine", "elsewhere", "file", 0o644)
	if err := os.Symlink("../../elsewhere", filepath.Join(dir, "upper/etc/link")); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mknod(filepath.Join(dir, "upper/etc/removed"), unix.S_IFCHR, 0); err != nil {
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
