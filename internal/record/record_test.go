package record

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

var kind = Kind{Magic: "9foldts\n", Version: 2, Max: 1024}

type value struct {
	Name string
	N    int
}

func TestARecordIsWholeOrNone(t *testing.T) {
	name := filepath.Join(t.TempDir(), "x")
	var got value
	if err := kind.Read(name, &got); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("none: %v", err)
	}
	for _, want := range []value{{"a", 1}, {"b", 2}} {
		if err := kind.Write(name, want); err != nil {
			t.Fatal(err)
		}
		if err := kind.Read(name, &got); err != nil || got != want {
			t.Errorf("%v %v", got, err)
		}
	}
	if err := kind.WriteForBoot(name, value{"c", 3}); err != nil {
		t.Fatal(err)
	}
	if err := kind.Read(name, &got); err != nil || got.N != 3 {
		t.Errorf("for this boot: %v %v", got, err)
	}
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	for i := range b {
		bad := append([]byte{}, b...)
		bad[i] ^= 1
		if err := kind.Decode(bad, &got); !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrVersion) {
			t.Fatalf("with byte %d changed: %v", i, err)
		}
		if err := kind.Decode(b[:i], &got); !errors.Is(err, ErrDamaged) {
			t.Fatalf("cut at %d: %v", i, err)
		}
	}
	newer := kind
	newer.Version = 3
	if b, err = newer.Encode(value{}); err != nil {
		t.Fatal(err)
	}
	if err := kind.Decode(b, &got); !errors.Is(err, ErrVersion) {
		t.Errorf("newer: %v", err)
	}
	if _, err := kind.Encode(value{Name: string(make([]byte, 2000))}); err == nil {
		t.Error("a record larger than its kind allows")
	}
}

func FuzzDecode(f *testing.F) {
	b, err := kind.Encode(value{"a", 1})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte(kind.Magic))
	f.Fuzz(func(t *testing.T, b []byte) {
		var v value
		if kind.Decode(b, &v) != nil {
			return
		}
		again, err := kind.Encode(v)
		if err != nil {
			t.Fatal(err)
		}
		var w value
		if err := kind.Decode(again, &w); err != nil || w != v {
			t.Fatalf("%v became %v: %v", v, w, err)
		}
	})
}
