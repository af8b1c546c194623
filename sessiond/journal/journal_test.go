package journal

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"ninefold/internal/record"
)

func example(id string) *Record {
	return &Record{ID: id, UID: 1000, User: "mia", Profile: "dev", Class: "trusted", Layers: []string{"host"},
		Holder: Process{PID: 77, Start: 12345}, MountNS: 4026531840, Created: time.Unix(1700000000, 5).UTC(),
		Sessions: []Session{{ID: "3", Service: "sshd", Leader: Process{PID: 78, Start: 9}, Since: time.Unix(1700000001, 0).UTC()}}}
}

func TestWhatIsWrittenIsFoundAgain(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "views")
	j, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"a-1", "b-2"} {
		if err := j.Write(example(id)); err != nil {
			t.Fatal(err)
		}
	}
	later := example("a-1")
	later.Manager = Process{PID: 99, Start: 7}
	if err := j.Write(later); err != nil {
		t.Fatal(err)
	}
	if err := j.Remove("b-2"); err != nil {
		t.Fatal(err)
	}
	got, problems, err := j.Read()
	if err != nil || len(problems) != 0 || len(got) != 1 || !reflect.DeepEqual(got[0], later) {
		t.Errorf("got %+v %v %v", got, problems, err)
	}
	if err := j.Write(example("../x")); err == nil {
		t.Error("a name with a slash was written")
	}
}

func TestDamageIsToldAndLeft(t *testing.T) {
	dir := t.TempDir()
	whole, err := kind.Encode(example("x"))
	if err != nil {
		t.Fatal(err)
	}
	for i := range whole {
		b := append([]byte(nil), whole...)
		b[i] ^= 0x20
		if err := kind.Decode(b, &Record{}); !errors.Is(err, record.ErrDamaged) && !errors.Is(err, record.ErrVersion) {
			t.Fatalf("byte %d changed: got %v", i, err)
		}
		if err := kind.Decode(whole[:i], &Record{}); !errors.Is(err, record.ErrDamaged) {
			t.Fatalf("cut at %d: got %v", i, err)
		}
	}
	newer := append([]byte(nil), whole...)
	newer[len(kind.Magic)] = byte(kind.Version) + 1
	for name, b := range map[string][]byte{"x": whole[:40], "y": newer, "z.new": []byte("half")} {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	j, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	records, problems, err := j.Read()
	if err != nil || len(records) != 0 || len(problems) != 2 || !errors.Is(problems[1].Err, record.ErrVersion) {
		t.Errorf("got %v %v %v", records, problems, err)
	}
	if _, err := os.Stat(filepath.Join(dir, "y")); err != nil {
		t.Error("the newer record is gone")
	}
}

func FuzzDecode(f *testing.F) {
	whole, err := kind.Encode(example("x"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole)
	f.Add([]byte(kind.Magic))
	f.Fuzz(func(t *testing.T, b []byte) {
		r := &Record{}
		if kind.Decode(b, r) == nil {
			if _, err := kind.Encode(r); err != nil {
				t.Error(err)
			}
		}
	})
}

// An older daemon reads what it knows, and leaves the rest alone.
func TestARecordIsOfTheOldestVersionThatHasItAll(t *testing.T) {
	r := example("x")
	for unit, want := range map[string]byte{"": 1, "ninefold-manager-x.service": 2} {
		r.Unit = unit
		b, err := kind.Encode(r)
		if err != nil || b[len(kind.Magic)] != want {
			t.Errorf("unit %q: version %d %v", unit, b[len(kind.Magic)], err)
		}
		again := &Record{}
		if err := kind.Decode(b, again); err != nil || again.Unit != unit {
			t.Errorf("unit %q: got %+v %v", unit, again, err)
		}
	}
}
