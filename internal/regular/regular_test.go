package regular

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestRead(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	text := strings.Repeat("x", 5000)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if b, err := Read(file, 5000); err != nil || string(b) != text {
		t.Errorf("%d bytes, %v", len(b), err)
	}
	if b, err := Read("/proc/self/status", 1<<16); err != nil || len(b) == 0 {
		t.Errorf("a file without a size: %d bytes, %v", len(b), err)
	}
	fifo := filepath.Join(dir, "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]error{file: ErrTooLarge, "/proc/self/status": ErrTooLarge, fifo: ErrNot, dir: ErrNot, "/dev/zero": ErrNot, filepath.Join(dir, "none"): fs.ErrNotExist} {
		if b, err := Read(name, 40); !errors.Is(err, want) || b != nil {
			t.Errorf("%s: %d bytes, %v; want %v", name, len(b), err, want)
		}
	}
}
