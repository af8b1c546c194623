package parked

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"ninefold/namespaces/upper"
	"ninefold/tests/needs"
)

// layerDir is a directory of layers with names in its "upper".
func layerDir(t *testing.T, names ...string) (dir *os.File, below string) {
	t.Helper()
	top := t.TempDir()
	below = filepath.Join(top, "upper")
	if err := os.Mkdir(below, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, n := range names {
		if err := os.WriteFile(filepath.Join(below, n), []byte(n), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	dir, err := os.Open(top)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dir.Close() })
	return dir, below
}

// TestASwappedFileIsNotOpened: who writes to a layer meanwhile gets neither the
// content of another's file, nor another's owner and bits for a file of theirs.
func TestASwappedFileIsNotOpened(t *testing.T) {
	dir, below := layerDir(t, "mine", "other")
	err := upper.Walk(t.Context(), dir, maxFiles, func(e *upper.Entry) error {
		if e.Name != "mine" {
			return nil
		}
		f, err := openFile(e)
		if err != nil {
			return err
		}
		f.Close()
		if err := os.Rename(filepath.Join(below, "other"), filepath.Join(below, "mine")); err != nil {
			return err
		}
		if f, err := openFile(e); !errors.Is(err, errLeft) {
			t.Errorf("opened in the place of another: %v %v", f, err)
		}
		return context.Canceled
	})
	if !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
}

// TestNamesTakeRoom: links and empty files are not free.
func TestNamesTakeRoom(t *testing.T) {
	dir, below := layerDir(t)
	for i := range 6 {
		if err := os.Symlink("x", filepath.Join(below, strconv.Itoa(i))); err != nil {
			t.Fatal(err)
		}
	}
	to, err := os.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer to.Close()
	var it Item
	if err := copyWritten(t.Context(), &Layers{dir: dir}, to, 3*blockSize, &it); err != nil {
		t.Fatal(err)
	}
	if it.Files != 2 || it.Left != 4 { // one is for "upper"
		t.Errorf("%+v", it)
	}
}

// TestACopyStaysBelow has a link where a directory of the copy is to be.
func TestACopyStaysBelow(t *testing.T) {
	outside, to := t.TempDir(), t.TempDir()
	if err := os.Symlink(outside, filepath.Join(to, "upper")); err != nil {
		t.Fatal(err)
	}
	dir, _ := layerDir(t, "x")
	target, err := os.Open(to)
	if err != nil {
		t.Fatal(err)
	}
	defer target.Close()
	var it Item
	if err := copyWritten(t.Context(), &Layers{dir: dir}, target, maxBytes, &it); err != nil || it.Files != 0 || it.Left == 0 || it.Why == "" {
		t.Errorf("it was copied through a link: %+v %v", it, err)
	}
	if there, err := os.ReadDir(outside); err != nil || len(there) != 0 {
		t.Errorf("outside: %v %v", there, err)
	}
}

// TestAUserHasSoMany: a user with many profiles has no more room for it.
func TestAUserHasSoMany(t *testing.T) {
	shelf := On(t.TempDir())
	for i := range most + 3 {
		it := Item{UID: 1, Profile: strconv.Itoa(i), Kind: Logout}
		dir, unlock, err := shelf.begin(&it)
		if err != nil {
			t.Fatal(err)
		}
		it.When = time.Unix(int64(i), 0).UTC()
		err = shelf.commit(dir, &it)
		unlock()
		if err != nil {
			t.Fatal(err)
		}
	}
	items, err := shelf.List()
	if err != nil || len(items) != most+3 {
		t.Fatalf("%d %v", len(items), err)
	}
	shelf.prune(1, items[0].When)
	if items, err = shelf.List(); err != nil || len(items) != most || items[0].Profile != strconv.Itoa(most+2) {
		t.Errorf("%d %v: %v", len(items), err, items)
	}
}

// TestOneFileDoesNotCostTheOthers: what cannot be copied is left out and told,
// and the rest is there.
func TestOneFileDoesNotCostTheOthers(t *testing.T) {
	dir, below := layerDir(t, "a", "b")
	// In the way of the copy of b.
	to := t.TempDir()
	if err := os.MkdirAll(filepath.Join(to, "upper", "b", "x"), 0o755); err != nil {
		t.Fatal(err)
	}
	target, err := os.Open(to)
	if err != nil {
		t.Fatal(err)
	}
	defer target.Close()
	if err := os.Symlink("gone", filepath.Join(below, "c")); err != nil {
		t.Fatal(err)
	}
	var it Item
	if err := copyWritten(t.Context(), &Layers{dir: dir}, target, maxBytes, &it); err != nil {
		t.Fatal(err)
	}
	if it.Files != 2 || it.Left != 1 || it.Why == "" {
		t.Errorf("%+v", it)
	}
	if _, err := os.Lstat(filepath.Join(to, "upper", "c")); err != nil {
		t.Error(err)
	}
}

// TestANameThatVanishesIsPassedOver: a session goes on while it is looked at.
func TestANameThatVanishesIsPassedOver(t *testing.T) {
	dir, below := layerDir(t, "a", "b", "c")
	var seen []string
	err := upper.Walk(t.Context(), dir, maxFiles, func(e *upper.Entry) error {
		if e.Name == "a" {
			if err := os.Remove(filepath.Join(below, "b")); err != nil {
				return err
			}
		}
		seen = append(seen, e.Name)
		return nil
	})
	if err != nil || !slices.Equal(seen, []string{"a", "c"}) {
		t.Errorf("%q %v", seen, err)
	}
}

// TestADiskIsNeverFilled: bytes and inodes are left to others.
func TestADiskIsNeverFilled(t *testing.T) {
	for _, c := range []struct {
		st   unix.Statfs_t
		want int64
	}{
		{unix.Statfs_t{Bsize: 10, Blocks: 1000, Bavail: 800, Files: 100, Ffree: 50}, 2000},
		{unix.Statfs_t{Bsize: 10, Blocks: 1000, Bavail: 60, Files: 100, Ffree: 50}, 100},
		{unix.Statfs_t{Bsize: 10, Blocks: 1000, Bavail: 50, Files: 100, Ffree: 50}, 0},
		{unix.Statfs_t{Bsize: 10, Blocks: 1000, Bavail: 800, Files: 100, Ffree: 5}, 0},
		{unix.Statfs_t{Bsize: 10, Blocks: 1000, Bavail: 800}, 2000},
	} {
		if got := room(&c.st); got != c.want {
			t.Errorf("%+v: %d, want %d", c.st, got, c.want)
		}
	}
	c := &copying{room: maxBytes, enough: func() bool { return false }}
	if err := c.take(1); !errors.Is(err, errLeft) {
		t.Errorf("a full disk: %v", err)
	}
}

// TestOnlyWhatWasJustMadeIsGivenAway: nobody puts another directory there.
func TestOnlyWhatWasJustMadeIsGivenAway(t *testing.T) {
	needs.Root(t)
	for name, prepare := range map[string]func(dir string) error{
		"":       func(string) error { return nil },
		"mode":   func(dir string) error { return os.Chmod(dir, 0o755) },
		"owner":  func(dir string) error { return os.Chown(dir, 12345, 0) },
		"filled": func(dir string) error { return os.Mkdir(filepath.Join(dir, "x"), 0o755) },
	} {
		dir := filepath.Join(t.TempDir(), "made")
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := prepare(dir); err != nil {
			t.Fatal(err)
		}
		d, err := os.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		if err := justMade(d); errors.Is(err, errSwapped) != (name != "") {
			t.Errorf("%q: %v", name, err)
		}
		d.Close()
	}
}
