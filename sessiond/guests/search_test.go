package guests

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"ninefold/tests/needs"
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

// apart gives the test a mount namespace that ends with it.
func apart(t *testing.T) {
	t.Helper()
	needs.Root(t)
	runtime.LockOSThread() // and the thread ends with the test
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		t.Fatal(err)
	}
}

func mount(t *testing.T, source, at, typ string, flags uintptr, options string) {
	t.Helper()
	if err := unix.Mount(source, at, typ, flags, options); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(at, unix.MNT_DETACH) })
}

func mkdir(t *testing.T, at ...string) string {
	t.Helper()
	dir := filepath.Join(at...)
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestUsersFileSystemsDoNotStopTheSearch: one that a program of a user's is to answer for, and
// which does not, is neither asked nor waited for, whether it lies in the way or over
// everything else.
func TestUsersFileSystemsDoNotStopTheSearch(t *testing.T) {
	apart(t)
	here := t.TempDir()
	disk, runtimeDir := mkdir(t, here, "disk"), mkdir(t, here, "runtime")
	mount(t, "none", disk, "tmpfs", 0, "")
	mount(t, "none", runtimeDir, "tmpfs", 0, "")
	own, shared, last := mkdir(t, disk, "gvfs"), mkdir(t, disk, "shared"), mkdir(t, disk, "z-last")
	const theirs, guests = 4242, 61190
	if err := os.Chown(last, guests, guests); err != nil {
		t.Fatal(err)
	}
	for at, options := range map[string]string{own: "", shared: ",allow_other", runtimeDir: ""} {
		fuse, err := unix.Open("/dev/fuse", unix.O_RDWR|unix.O_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(fuse)
		mount(t, "theirs", at, "fuse", 0, fmt.Sprintf("fd=%d,rootmode=40000,user_id=%d,group_id=%d%s", fuse, theirs, theirs, options))
	}
	roots, err := searchable()
	if err != nil || !slices.Contains(roots, disk) || slices.Contains(roots, runtimeDir) {
		t.Errorf("searched are %q, %v", roots, err)
	}
	found := map[uint32][]string{}
	if files, err := searchBelow(t.Context(), disk, map[uint32]bool{guests: true}, found); err != nil || files != 2 {
		t.Errorf("%d files, %v", files, err)
	}
	if want := []string{"the file " + last}; !slices.Equal(found[guests], want) {
		t.Errorf("found are %q", found[guests])
	}
}

// TestEveryPartOfADeviceIsSearched: of a file system that is mounted in parts, none of which
// shows it whole, each is searched, and one that is mounted whole is searched once.
func TestEveryPartOfADeviceIsSearched(t *testing.T) {
	apart(t)
	here := t.TempDir()
	whole := mkdir(t, here, "whole")
	mount(t, "none", whole, "tmpfs", 0, "")
	var parts []string
	for _, name := range []string{"root", "home"} {
		part := mkdir(t, here, name)
		mount(t, mkdir(t, whole, "@"+name), part, "", unix.MS_BIND, "")
		parts = append(parts, part)
	}
	searched := func(want bool, names ...string) {
		t.Helper()
		roots, err := searchable()
		for _, name := range names {
			if err != nil || slices.Contains(roots, name) != want {
				t.Errorf("searched are %q, %v", roots, err)
			}
		}
	}
	searched(true, whole)
	searched(false, parts...)
	if err := unix.Unmount(whole, 0); err != nil {
		t.Fatal(err)
	}
	searched(true, parts...)
}
