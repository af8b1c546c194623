package debian

import (
	"bytes"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"testing"
	"time"

	"ninefold/roots/debian/testrepo"
	"ninefold/roots/lock"
)

// TestNewestVersions asks an archive that moved on since the lock was made.
func TestNewestVersions(t *testing.T) {
	repo := testrepo.New(t, "trixie", Arch(), testrepo.Deb{Name: "bash", Version: "5.2-1"}, testrepo.Deb{Name: "mawk"}, testrepo.Deb{Name: "libc6", Version: "2.41-2", Fields: fields{"Source": "glibc (2.41-1.9)"}})
	l := &lock.Lock{Recipe: "test", Arch: repo.Arch, Source: lock.Source{Mirror: repo.URL(), Suite: repo.Suite, Components: []string{"main"}},
		Packages: []lock.Package{{Name: "bash", Version: "5.2-1"}, {Name: "libc6", Version: "2.41-1"}, {Name: "gone", Version: "1"}}}
	repo.Publish(t, testrepo.Deb{Name: "bash", Version: "5.2-1"}, testrepo.Deb{Name: "bash", Version: "5.2-10"}, testrepo.Deb{Name: "bash", Version: "5.2-9"},
		testrepo.Deb{Name: "libc6", Version: "2.41-2", Fields: fields{"Source": "glibc (2.41-1.9)"}})
	dir := t.TempDir()
	if _, err := Newest(t.Context(), l, repo.Keyring, false, Options{Dir: dir, Offline: true}); !errors.Is(err, ErrNotKept) {
		t.Errorf("nothing is kept: %v", err)
	}
	got, err := Newest(t.Context(), l, repo.Keyring, false, Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]lock.Available{"bash": {Version: "5.2-10", Source: "5.2-10"}, "libc6": {Version: "2.41-2", Source: "2.41-1.9"}}
	if len(got) != len(want) || got["bash"] != want["bash"] || got["libc6"] != want["libc6"] {
		t.Errorf("%v, want %v", got, want)
	}
	// The archive goes on, and what it said is asked, long after.
	repo.Publish(t, testrepo.Deb{Name: "bash", Version: "5.3-1"})
	later := func() time.Time { return time.Now().AddDate(0, 6, 0) }
	if kept, err := Newest(t.Context(), l, repo.Keyring, false, Options{Dir: dir, Offline: true, Now: later}); err != nil || !maps.Equal(kept, got) {
		t.Errorf("offline: %v, %v", kept, err)
	}
	// It is verified again.
	names, err := filepath.Glob(filepath.Join(dir, "*.release"))
	if err != nil || len(names) != 1 {
		t.Fatalf("kept are %v, %v", names, err)
	}
	b, err := os.ReadFile(names[0])
	if err == nil {
		err = os.WriteFile(names[0], bytes.Replace(b, []byte("Suite:"), []byte("Suite: "), 1), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Newest(t.Context(), l, repo.Keyring, false, Options{Dir: dir, Offline: true}); !errors.Is(err, ErrBadSignature) {
		t.Errorf("changed: %v", err)
	}
}
