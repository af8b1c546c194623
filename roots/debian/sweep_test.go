package debian

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestSweep(t *testing.T) {
	dir := t.TempDir()
	used, done, err := makeRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	long := time.Now().Add(-2 * keepIndex)
	left := filepath.Join(dir, "root-left")
	if err := os.Mkdir(left, 0o700); err != nil {
		t.Fatal(err)
	}
	old, fresh := strings.Repeat("a", 64), strings.Repeat("b", 64)
	for _, name := range []string{old, fresh, "index-1", "other"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, path := range []string{used, left, filepath.Join(dir, old), filepath.Join(dir, "index-1"), filepath.Join(dir, "other")} {
		if err := os.Chtimes(path, long, long); err != nil {
			t.Fatal(err)
		}
	}
	sweep(dir)
	var have []string
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		have = append(have, e.Name())
	}
	if want := []string{fresh, "other", filepath.Base(used)}; !slices.Equal(have, want) {
		t.Errorf("left are %v, want %v", have, want)
	}
	done()
	if _, err := os.Stat(used); err == nil {
		t.Error("a root in use is not removed at its end")
	}
}
