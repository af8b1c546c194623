package guests

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestNobodyCanStopTheSearch: trees that anybody can make end it neither with an
// error nor before everything was looked at.
func TestNobodyCanStopTheSearch(t *testing.T) {
	root := t.TempDir()
	if err := os.Symlink("/", filepath.Join(root, "a-root")); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mkfifo(filepath.Join(root, "a-fifo"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, "z-last"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	// Deeper than a path can say.
	dir, err := unix.Open(root, unix.O_DIRECTORY|unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	name := strings.Repeat("d", 255)
	for range 40 {
		if err := unix.Mkdirat(dir, name, 0o700); err != nil {
			t.Fatal(err)
		}
		next, err := unix.Openat(dir, name, unix.O_DIRECTORY|unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		unix.Close(dir)
		dir = next
	}
	unix.Close(dir)
	me := uint32(os.Getuid())
	found := map[uint32][]string{}
	files, err := searchBelow(t.Context(), root, map[uint32]bool{me: true}, found)
	if err != nil || files < 10 {
		t.Errorf("%d files, %v", files, err)
	}
	if last := found[me][len(found[me])-1]; last != "the file "+filepath.Join(root, "z-last") {
		t.Errorf("the search ended at %s", last)
	}
}
