package store

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"ninefold/roots/pkg"
)

func TestPartial(t *testing.T) {
	s := open(t)
	left := func() int {
		t.Helper()
		all, err := filepath.Glob(s.path("partial", "*"))
		if err != nil {
			t.Fatal(err)
		}
		return len(all)
	}
	begin := func(d pkg.Digest, size int64) *Partial {
		t.Helper()
		p := s.Partial(d, size)
		if p == nil {
			t.Fatal("nothing is kept")
		}
		return p
	}
	first := begin(pkg.Digest{1}, 10)
	if err := first.Append([]byte("12345")); err != nil {
		t.Fatal(err)
	}
	if s.Partial(pkg.Digest{1}, 10) != nil {
		t.Error("two have the same")
	}
	if s.Partial(pkg.Digest{2}, 1<<60) != nil {
		t.Error("more than the disk holds is kept")
	}
	gc := func() {
		t.Helper()
		if _, err := s.GC(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	old := time.Now().Add(-partialAge - time.Hour)
	if err := os.Chtimes(first.f.Name(), old, old); err != nil {
		t.Fatal(err)
	}
	if gc(); left() != 1 {
		t.Error("a collection took what somebody has open")
	}
	first.Close()
	again := begin(pkg.Digest{1}, 10)
	b := make([]byte, 5)
	if _, err := again.ReadAt(b, 0); err != nil || string(b) != "12345" || again.Size() != 5 {
		t.Errorf("%d bytes: %q, %v", again.Size(), b, err)
	}
	again.Close()
	if gc(); left() != 0 {
		t.Error("a collection left what nobody went on with")
	}

	if p := begin(pkg.Digest{3}, 10); p.Append(make([]byte, 11)) != nil {
		t.Error("it cannot be appended to")
	} else {
		p.Close()
	}
	p := begin(pkg.Digest{3}, 10)
	if p.Size() != 0 {
		t.Error("more than the whole is kept")
	}
	p.Close()
	if gc(); left() != 1 {
		t.Error("a collection took what is new")
	}
	for i := range maxPartials + 5 {
		begin(pkg.Digest{4, byte(i)}, 10).Close()
	}
	if n := left(); n > maxPartials {
		t.Errorf("%d are kept", n)
	}
}
