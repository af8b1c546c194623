package views

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"ninefold/namespaces"
	"ninefold/sessiond/journal"
	"ninefold/sessiond/parked"
)

// written returns layers in which a session wrote a file.
func written(t *testing.T) *os.File {
	t.Helper()
	dir := t.TempDir()
	mine, stamp := filepath.Join(dir, "upper", "mine"), filepath.Join(dir, namespaces.StampPark)
	for _, name := range []string{filepath.Dir(mine), stamp} {
		if err := os.Mkdir(name, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(mine, []byte("mine"), 0o644); err != nil {
		t.Fatal(err)
	}
	// Written after the stamp counts, and a clock has its ticks.
	for deadline := time.Now().Add(30 * time.Second); !changed(t, mine).After(changed(t, stamp)); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the clock of the disk stands still")
		}
		if err := os.Chmod(mine, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	f, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func changed(t *testing.T, name string) time.Time {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Lstat(name, &st); err != nil {
		t.Fatal(err)
	}
	return time.Unix(st.Ctim.Unix())
}

// A logout may have begun when the machine goes down, and no daemon after this
// one finds what it was about to park.
func TestGoingDownWaitsForLogouts(t *testing.T) {
	vs := New(Options{Log: slog.New(slog.DiscardHandler), Shelf: parked.On(t.TempDir())})
	leaving := &View{vs: vs, ended: true, layers: written(t), rec: journal.Record{ID: "1000-leaving", UID: 1000, User: "ann", Profile: "p"}}
	staying := &View{vs: vs, layers: written(t), rec: journal.Record{ID: "1001-staying", UID: 1001, User: "bob", Profile: "p"}}
	vs.views[leaving.rec.ID] = leaving
	vs.views[staying.rec.ID] = staying
	vs.wg.Go(func() {
		for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
			items, err := vs.o.Shelf.List()
			if err != nil {
				t.Error(err)
				return
			}
			if len(items) == 1 {
				break
			}
		}
		vs.park(leaving)
	})
	vs.GoDown()
	items, err := vs.o.Shelf.List()
	if err != nil {
		t.Fatal(err)
	}
	parked := map[string]int64{}
	for _, it := range items {
		parked[it.View] = it.Files
	}
	if len(items) != 2 || parked[leaving.rec.ID] != 1 || parked[staying.rec.ID] != 1 {
		t.Errorf("parked: %v", parked)
	}
}
