package debian

import (
	"testing"

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
	got, err := Newest(t.Context(), l, repo.Keyring, false, Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]lock.Available{"bash": {Version: "5.2-10", Source: "5.2-10"}, "libc6": {Version: "2.41-2", Source: "2.41-1.9"}}
	if len(got) != len(want) || got["bash"] != want["bash"] || got["libc6"] != want["libc6"] {
		t.Errorf("%v, want %v", got, want)
	}
}
