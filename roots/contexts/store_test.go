package contexts

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"ninefold/internal/record"
)

var now = time.Date(2026, 11, 28, 9, 0, 0, 0, time.UTC)

func TestNames(t *testing.T) {
	for _, good := range []string{"a", "0", "a.b_c-d", strings.Repeat("x", MaxName)} {
		if err := CheckName(good); err != nil {
			t.Error(err)
		}
	}
	for _, bad := range []string{"", ".", "..", ".a", "-a", "_a", "A", "a/b", "../a", "a b", "a\x00", "a\n", "ä", strings.Repeat("x", MaxName+1)} {
		if err := CheckName(bad); !errors.Is(err, ErrName) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func create(t *testing.T, s *Store, owner uint32, name string) Record {
	t.Helper()
	r, err := s.Create(t.Context(), owner, name, 0, Stands{Packages: "p", Release: "r"}, now)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestContextsAreMadeFoundRenamedAndDeleted(t *testing.T) {
	s := On(t.TempDir())
	if all, err := s.List(0, true); err != nil || len(all) != 0 {
		t.Errorf("before the first: %v, %v", all, err)
	}
	r := create(t, s, 0, "foo")
	create(t, s, 1000, "foo") // another's
	if _, err := s.Create(t.Context(), 0, "foo", 0, Stands{}, now); !errors.Is(err, ErrExists) {
		t.Errorf("a second of the same name: %v", err)
	}
	create(t, s, 0, "bar")
	if err := s.Rename(r, "bar"); !errors.Is(err, ErrExists) {
		t.Errorf("renamed over another one: %v", err)
	}
	if err := s.Rename(r, "a/b"); !errors.Is(err, ErrName) {
		t.Errorf("renamed to what is no name: %v", err)
	}
	if err := s.Rename(r, "baz"); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Find(0, "baz"); err != nil || got.ID != r.ID {
		t.Errorf("after renaming: %+v, %v", got, err)
	}
	if _, err := s.Find(0, "foo"); !errors.Is(err, ErrNotFound) {
		t.Errorf("the old name: %v", err)
	}
	if all, err := s.List(0, false); err != nil || len(all) != 2 || all[0].Name != "bar" || all[1].Name != "baz" {
		t.Errorf("list: %+v, %v", all, err)
	}
	use, err := s.Use(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Claim(r); !errors.Is(err, ErrInUse) {
		t.Errorf("claimed while it is used: %v", err)
	}
	use.Close()
	if err := s.Delete(r); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Use(t.Context(), r); !errors.Is(err, ErrNotFound) {
		t.Errorf("used after it is deleted: %v", err)
	}
	if err := s.Update(r, func(*Record) error { return nil }); !errors.Is(err, ErrNotFound) {
		t.Errorf("changed after it is deleted: %v", err)
	}
}

// A record of a newer version is left alone, and keeps nobody from the others.
func TestANewerRecordIsLeftAlone(t *testing.T) {
	s := On(t.TempDir())
	r := create(t, s, 0, "newer")
	create(t, s, 0, "older")
	newer := kind
	newer.Version++
	name := filepath.Join(s.Dir(r), recordFile)
	type plain Record // which does not say that an older version would do
	if err := newer.Write(name, plain(r)); err != nil {
		t.Fatal(err)
	}
	before, _ := os.ReadFile(name)
	all, err := s.List(0, true)
	if !errors.Is(err, record.ErrVersion) || len(all) != 1 || all[0].Name != "older" {
		t.Errorf("list: %v, %v", all, err)
	}
	if _, err := s.Find(0, "newer"); !errors.Is(err, record.ErrVersion) || !errors.Is(err, ErrNotFound) {
		t.Errorf("found: %v", err)
	}
	if _, err := s.Claim(r); !errors.Is(err, record.ErrVersion) {
		t.Errorf("claimed: %v", err)
	}
	if after, _ := os.ReadFile(name); string(after) != string(before) {
		t.Error("the record was written")
	}
}

func write(t *testing.T, s *Store, r Record, text string) {
	t.Helper()
	r, err := s.read(r.ID)
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(s.LayerDir(r, r.Layer), "upper")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "file"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, s *Store, r Record) string {
	t.Helper()
	r, err := s.read(r.ID)
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(s.LayerDir(r, r.Layer), "upper/file"))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func claim(t *testing.T, s *Store, r Record) *Claim {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		c, err := s.Claim(r)
		if errors.Is(err, ErrInUse) && time.Now().Before(deadline) {
			continue // a killed one's copy is just ending
		}
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(c.Release)
		return c
	}
}

func TestStatesAreKeptAndComeBack(t *testing.T) {
	s := On(t.TempDir())
	r := create(t, s, 0, "foo")
	c := claim(t, s, r)
	if _, err := c.Undo(now); !errors.Is(err, ErrNothing) {
		t.Errorf("undo of nothing: %v", err)
	}
	if err := c.Redo(now); !errors.Is(err, ErrNothing) {
		t.Errorf("redo of nothing: %v", err)
	}
	for i := range MaxPoints + 2 {
		write(t, s, r, strconv.Itoa(i))
		if err := c.Snapshot(t.Context(), now); err != nil {
			t.Fatal(err)
		}
	}
	write(t, s, r, "last")
	if n := len(c.Record().Points); n != MaxPoints {
		t.Errorf("%d states are kept, want %d", n, MaxPoints)
	}
	for _, want := range []string{strconv.Itoa(MaxPoints + 1), strconv.Itoa(MaxPoints)} {
		if _, err := c.Undo(now); err != nil {
			t.Fatal(err)
		}
		if got := read(t, s, r); got != want {
			t.Errorf("after undo it holds %q, want %q", got, want)
		}
	}
	if err := c.Redo(now); err != nil {
		t.Fatal(err)
	}
	if got, want := read(t, s, r), strconv.Itoa(MaxPoints+1); got != want {
		t.Errorf("after redo it holds %q, want %q", got, want)
	}
	layers, err := os.ReadDir(filepath.Join(s.Dir(r), layersDir))
	if err != nil || len(layers) != len(c.Record().Points)+1 {
		t.Errorf("%d layers lie there for %d states: %v", len(layers), len(c.Record().Points), err)
	}
}

// worker is this test's program, which changes contexts until it is killed.
const worker = "NINEFOLD_CONTEXTS_WORKER"

func TestMain(m *testing.M) {
	if state := os.Getenv(worker); state != "" {
		work(On(state))
		os.Exit(3) // it stopped by itself
	}
	os.Exit(m.Run())
}

// work writes a whole number twice into the layer of the context "one", keeps and
// brings back states, and makes and deletes the context "two".
func work(s *Store) {
	os.Stdout.WriteString("begun\n")
	for i := 0; ; i++ {
		r, err := s.Find(0, "one")
		if err != nil {
			return
		}
		c, err := s.Claim(r)
		if errors.Is(err, ErrInUse) {
			continue // the copy that a killed one had made is just ending
		}
		if err != nil {
			return
		}
		if i%3 == 2 {
			_, err = c.Undo(now)
		} else {
			err = c.Snapshot(ctx(), now)
		}
		c.Release()
		if err != nil && !errors.Is(err, ErrNothing) {
			return
		}
		two, err := s.Find(0, "two")
		switch {
		case err == nil && i%2 == 0:
			err = s.Delete(two)
		case err == nil:
			err = s.Update(two, func(r *Record) error { r.Ask(Asked{When: now, Argv: []string{"x"}}); return nil })
		default:
			_, err = s.Create(ctx(), 0, "two", 0, Stands{}, now)
		}
		if err != nil {
			return
		}
	}
}

// Whoever changes contexts is killed at any moment, and finds the old state or
// the new one, whole.
func TestKilledAtAnyMoment(t *testing.T) {
	state := t.TempDir()
	s := On(state)
	r := create(t, s, 0, "one")
	write(t, s, r, "content")
	for i := range 200 {
		w := exec.Command(os.Args[0])
		w.Env = []string{worker + "=" + state}
		out, err := w.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Start(); err != nil {
			t.Fatal(err)
		}
		if _, err := out.Read(make([]byte, 8)); err != nil {
			t.Fatalf("the worker did not begin: %v", err)
		}
		time.Sleep(time.Duration(i*37%23) * time.Millisecond / 2)
		if err := w.Process.Kill(); err != nil {
			t.Fatalf("the worker stopped by itself: %v", err)
		}
		if err := w.Wait(); w.ProcessState.ExitCode() == 3 {
			t.Fatalf("the worker stopped by itself: %v", err)
		}
		all, err := s.List(0, true)
		if err != nil || len(all) == 0 || all[0].Name != "one" || len(all) > 2 {
			t.Fatalf("after kill %d: %+v, %v", i, all, err)
		}
		if got := read(t, s, r); got != "content" {
			t.Fatalf("after kill %d it holds %q", i, got)
		}
		for _, p := range all[0].Points {
			if _, err := os.Stat(filepath.Join(s.LayerDir(r, p.Layer), "upper/file")); err != nil {
				t.Fatalf("after kill %d a kept state is not whole: %v", i, err)
			}
		}
	}
	// What was left half done goes with the next change.
	claim(t, s, r)
	create(t, s, 0, "three")
	left, err := filepath.Glob(filepath.Join(state, "contexts", ".*-*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left over: %v, %v", left, err)
	}
}

// An older Ninefold would take a bounded context for an empty one, and leaves it
// alone; it goes on with the others.
func TestABoundedContextIsOfANewerVersion(t *testing.T) {
	old := kind
	old.Version = 1
	for size, want := range map[int64]error{0: nil, 64 << 20: record.ErrVersion} {
		b, err := kind.Encode(Record{ID: "x", Name: "x", Layer: "1", Size: size})
		if err != nil {
			t.Fatal(err)
		}
		var r Record
		if err := old.Decode(b, &r); !errors.Is(err, want) {
			t.Errorf("of %d bytes: %v, want %v", size, err, want)
		}
		if err := kind.Decode(b, &r); err != nil || r.Size != size {
			t.Errorf("of %d bytes: %+v, %v", size, r, err)
		}
	}
}
