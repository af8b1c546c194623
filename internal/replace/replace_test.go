package replace

import (
	"os"
	"path/filepath"
	"testing"
)

func TestFileIsReplacedWholeOrLeft(t *testing.T) {
	for how, write := range map[string]func(string, []byte, os.FileMode) error{
		"File": File,
		"Stream": func(name string, text []byte, mode os.FileMode) error {
			return Stream(name, mode, func(f *os.File) error { _, err := f.Write(text); return err })
		},
	} {
		t.Run(how, func(t *testing.T) { wholeOrLeft(t, write) })
	}
}

func wholeOrLeft(t *testing.T, write func(string, []byte, os.FileMode) error) {
	dir := t.TempDir()
	name := filepath.Join(dir, "f")
	for _, text := range []string{"one", "two"} {
		if err := write(name, []byte(text), 0o640); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(name)
		if st, _ := os.Stat(name); err != nil || string(got) != text || st.Mode() != 0o640 {
			t.Errorf("%q, %v, %v", got, st.Mode(), err)
		}
	}
	// A directory cannot be replaced: it stays, and nothing is left beside it.
	taken := filepath.Join(dir, "d")
	if err := os.MkdirAll(filepath.Join(taken, "x"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := write(taken, []byte("text"), 0o644); err == nil {
		t.Error("a directory was replaced")
	}
	if left, _ := os.ReadDir(dir); len(left) != 2 {
		t.Errorf("left are %v", left)
	}
	if err := write(filepath.Join(dir, "none", "f"), nil, 0o644); err == nil {
		t.Error("written into a directory that is not there")
	}
}
