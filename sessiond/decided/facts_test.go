package decided

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func do(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestFactsHoldUntilSomethingChanges goes through what can happen to a file that
// was read, or to one that was not there.
func TestFactsHoldUntilSomethingChanges(t *testing.T) {
	for name, c := range map[string]struct {
		change func(t *testing.T, dir string)
		holds  bool
	}{
		"nothing":                      {func(*testing.T, string) {}, true},
		"another file beside it":       {func(t *testing.T, dir string) { write(t, dir+"/real/other", "x") }, true},
		"a file only looked for grows": {func(t *testing.T, dir string) { write(t, dir+"/there", "longer than before") }, true},
		"written with the same length": {func(t *testing.T, dir string) { write(t, dir+"/real/file", "two") }, false},
		"written, and its time put back": {func(t *testing.T, dir string) {
			st, err := os.Stat(dir + "/real/file")
			do(t, err)
			write(t, dir+"/real/file", "two")
			do(t, os.Chtimes(dir+"/real/file", st.ModTime(), st.ModTime()))
		}, false},
		"renamed over": {func(t *testing.T, dir string) {
			write(t, dir+"/new", "one")
			do(t, os.Rename(dir+"/new", dir+"/real/file"))
		}, false},
		"removed":                {func(t *testing.T, dir string) { do(t, os.Remove(dir+"/real/file")) }, false},
		"its mode":               {func(t *testing.T, dir string) { do(t, os.Chmod(dir+"/real/file", 0o666)) }, false},
		"a second name":          {func(t *testing.T, dir string) { do(t, os.Link(dir+"/real/file", dir+"/second")) }, false},
		"mode of its directory":  {func(t *testing.T, dir string) { do(t, os.Chmod(dir+"/real", 0o777)) }, false},
		"mode further up":        {func(t *testing.T, dir string) { do(t, os.Chmod(dir, 0o777)) }, false},
		"the link on the way":    {func(t *testing.T, dir string) { do(t, os.Remove(dir+"/way")); do(t, os.Symlink("real/.", dir+"/way")) }, false},
		"what was not there":     {func(t *testing.T, dir string) { write(t, dir+"/absent", "") }, false},
		"the way to another one": {func(t *testing.T, dir string) { do(t, os.Mkdir(dir+"/no", 0o755)) }, false},
		"the one looked for":     {func(t *testing.T, dir string) { do(t, os.Remove(dir+"/there")) }, false},
		"it becomes a directory": {func(t *testing.T, dir string) {
			do(t, os.Remove(dir+"/there"))
			do(t, os.Mkdir(dir+"/there", 0o755))
		}, false},
		"another directory in its place": {func(t *testing.T, dir string) {
			do(t, os.Rename(dir+"/real", dir+"/was"))
			write(t, dir+"/real/file", "one")
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			write(t, dir+"/real/file", "one")
			write(t, dir+"/there", "")
			do(t, os.Symlink("real", dir+"/way"))
			var f Facts
			f.Content(dir+"/way/file", dir+"/absent")
			f.Presence(dir+"/there", dir+"/no/way/file")
			f.Mounts()
			if !f.Hold() {
				t.Fatal("they do not hold at once")
			}
			c.change(t, dir)
			if got := f.Hold(); got != c.holds {
				t.Errorf("hold %v, want %v", got, c.holds)
			}
		})
	}
}

func TestSettled(t *testing.T) {
	name := filepath.Join(t.TempDir(), "file")
	write(t, name, "x")
	var f Facts
	f.Content(name)
	now := time.Now()
	if f.Settled(now) {
		t.Error("a file that was just written counts as finished")
	}
	if !f.Settled(now.Add(settled + time.Second)) {
		t.Error("it never counts as finished")
	}
	if f.Settled(now.Add(-time.Hour)) {
		t.Error("one that was written in the future counts as finished")
	}
}
