package config

import (
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestALoginRightAfterAChangeHasIt: who logs in while a change settles waits for it,
// and waits for nothing otherwise.
func TestALoginRightAfterAChangeHasIt(t *testing.T) {
	dir := t.TempDir()
	l := Follow([]string{dir}, slog.New(slog.NewTextHandler(io.Discard, nil)), nil)
	ended := make(chan error, 1)
	go func() { ended <- l.Watch(t.Context()) }()
	seen := func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.pending != nil
	}
	for _, want := range []string{"one", "two"} {
		// Again and again, since the watch begins when it likes.
		for end := time.Now().Add(30 * time.Second); !seen(); time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatal("the change is not seen")
			}
			if err := os.WriteFile(filepath.Join(dir, FileName), []byte("[login]\ndefault = \""+want+"\"\n"), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		for end := time.Now().Add(30 * time.Second); l.State().Config.Login.Default != want && time.Now().Before(end); {
			l.Settled(t.Context()) // a slow machine may take longer than a login waits
		}
		if got := l.State().Config.Login.Default; got != want {
			t.Errorf("in force is %q, want %q", got, want)
		}
		for end := time.Now().Add(30 * time.Second); seen() && time.Now().Before(end); {
			l.Settled(t.Context())
		}
	}
	if seen() {
		t.Error("what has settled is still waited for")
	}
}
