package inside

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestTheListIsNoticed: of what happens in a directory, a list that is replaced
// counts, and nothing else.
func TestTheListIsNoticed(t *testing.T) {
	dir := t.TempDir()
	events := changesIn(dir)
	if events == nil {
		t.Fatal("the directory is not watched")
	}
	defer events.Close()
	if err := events.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	replace := func(name string) bool {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, "new"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(filepath.Join(dir, "new"), filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
		b := make([]byte, 4096)
		n, err := events.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		return ofStatus(b[:n])
	}
	if replace("status-old") || !replace("status") {
		t.Error("another file is taken for the list, or the list for another file")
	}
}

// TestWhatIsThereAlreadyIsNotWrittenAgain: and what root of the context made of it is.
func TestWhatIsThereAlreadyIsNotWrittenAgain(t *testing.T) {
	heard := filepath.Join(t.TempDir(), HeardDir)
	me := uint32(os.Getuid())
	file := filepath.Join(heard, HeardFile)
	for _, spoil := range []func() error{
		func() error { return nil },
		func() error { return os.Remove(file) },
		func() error { return os.Chmod(file, 0o666) },
		func() error { return os.Chmod(heard, 0o755) },
	} {
		if err := spoil(); err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		if err := listen(heard, me); err != nil {
			t.Fatal(err)
		}
		if !has(file, unix.S_IFREG|0o644, me) {
			t.Error("it is not as it is to be")
		}
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/etc/passwd", file); err != nil {
		t.Fatal(err)
	}
	if err := listen(heard, me); err == nil {
		t.Error("a link is followed")
	}
}
