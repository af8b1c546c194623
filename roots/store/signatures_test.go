package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"ninefold/roots/image"
	"ninefold/roots/pkg"
)

func TestSignaturesAreKeptAndCollected(t *testing.T) {
	s := open(t)
	kept, gone := putPackage(t, s, "kept", "a"), putPackage(t, s, "gone", "b")
	id := putImage(t, s, "i", image.ID{}, kept)
	if err := s.Tag("steve/i:1", id); err != nil {
		t.Fatal(err)
	}
	for _, d := range []pkg.Digest{kept, gone, id} {
		for _, text := range []string{"one", "two", "one"} {
			if err := s.AddSignature(d, []byte(text)); err != nil {
				t.Fatal(err)
			}
		}
		if all, err := s.Signatures(d); err != nil || len(all) != 2 {
			t.Fatalf("%q, %v; want two", all, err)
		}
	}
	if _, err := s.GC(t.Context()); err != nil {
		t.Fatal(err)
	}
	for d, want := range map[pkg.Digest]int{kept: 2, id: 2, gone: 0} {
		if all, err := s.Signatures(d); err != nil || len(all) != want {
			t.Errorf("after a collection: %q, %v; want %d", all, err, want)
		}
	}
	if left, _ := names(s.path("signatures")); len(left) != 2 {
		t.Errorf("left are %v", left)
	}
}

func TestSignaturesAreBounded(t *testing.T) {
	s := open(t)
	d := putPackage(t, s, "p", "a")
	for _, bad := range [][]byte{nil, make([]byte, MaxSignature+1)} {
		if err := s.AddSignature(d, bad); err == nil {
			t.Errorf("%d bytes are taken", len(bad))
		}
	}
	var list []Signature
	for i := range MaxSignatures {
		list = append(list, Signature{d, fmt.Append(nil, i)})
	}
	if err := s.AddSignatures(t.Context(), list); err != nil {
		t.Fatal(err)
	}
	if err := s.AddSignature(d, []byte("one more")); !errors.Is(err, ErrFull) {
		t.Errorf("one more: %v, want ErrFull", err)
	}
	if err := s.AddSignature(d, list[3].Envelope); err != nil {
		t.Errorf("one that is there: %v", err)
	}
}

func TestDamagedSignaturesCountAsNone(t *testing.T) {
	s := open(t)
	d := putPackage(t, s, "p", "a")
	if err := s.AddSignatures(t.Context(), []Signature{{d, []byte("one")}, {d, []byte("two")}}); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(s.path("signatures", d.String(), "*"))
	if err != nil || len(files) != 2 {
		t.Fatal(files, err)
	}
	flip(t, files[0], 1<<9)
	all, err := s.Signatures(d)
	if err != nil || len(all) != 1 {
		t.Fatalf("%q, %v; want the other one", all, err)
	}
	// Adding it again repairs it.
	if err := s.AddSignatures(t.Context(), []Signature{{d, []byte("one")}, {d, []byte("two")}}); err != nil {
		t.Fatal(err)
	}
	if all, _ := s.Signatures(d); len(all) != 2 {
		t.Errorf("after adding again: %q", all)
	}
	b, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	newer := bytes.Replace(b, []byte("ninefold-signature 1 "), []byte("ninefold-signature 9 "), 1)
	if err := os.WriteFile(files[0], newer, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Signatures(d); !errors.Is(err, ErrVersion) {
		t.Errorf("a newer version's: %v, want ErrVersion", err)
	}
}

func TestOriginSaysWhatCameFromOutside(t *testing.T) {
	s := open(t)
	p := putPackage(t, s, "p", "a")
	m := &image.Manifest{Version: image.Version, Name: "i", Packages: []image.Ref{{Name: "p", Version: "1", Digest: p}}}
	id, err := s.PutPulled(m, Origin{From: "somewhere", References: []string{"steve/i:2"}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.PutPulled(m, Origin{From: "elsewhere", References: []string{"steve/i:1"}}); err != nil {
		t.Fatal(err)
	}
	o, err := s.Origin(id)
	if err != nil || o == nil || o.From != "elsewhere" || !slices.Equal(o.References, []string{"steve/i:1", "steve/i:2"}) {
		t.Fatalf("origin %+v, %v", o, err)
	}
	if _, err := s.PutPulled(m, Origin{References: []string{"Not one"}}); err == nil {
		t.Error("a name that is none is taken")
	}
	flip(t, s.path("origins", id.String()), 1<<9)
	if _, err := s.Origin(id); !errors.Is(err, ErrDamaged) {
		t.Errorf("a damaged origin: %v, want ErrDamaged", err)
	}
	if _, err := s.PutImage(m); err != nil {
		t.Fatal(err)
	}
	if o, err := s.Origin(id); err != nil || o != nil {
		t.Errorf("built here, its origin is %+v, %v", o, err)
	}
	if _, err := s.PutPulled(m, Origin{From: "somewhere"}); err != nil {
		t.Fatal(err)
	}
	if o, err := s.Origin(id); err != nil || o != nil {
		t.Errorf("built here and pulled again, its origin is %+v, %v", o, err)
	}
}

func TestSeenOnlyChangesUnderItsLock(t *testing.T) {
	s := open(t)
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			other := openAt(t, s.Dir())
			err := other.SetSeen(context.Background(), "steve/i:1", func(old Seen) (Seen, error) {
				old.Version++
				return old, nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if seen, err := s.Seen("steve/i:1"); err != nil || seen.Version != 20 {
		t.Errorf("seen %+v, %v; want version 20", seen, err)
	}
	if err := s.ForgetSeen("steve/i:1"); err != nil {
		t.Error(err)
	}
	if err := s.ForgetSeen("steve/i:1"); !errors.Is(err, ErrNotFound) {
		t.Errorf("forgotten twice: %v", err)
	}
}

func TestReferencesAsTags(t *testing.T) {
	s := open(t)
	id := putImage(t, s, "i", image.ID{}, putPackage(t, s, "p", "a"))
	for _, name := range []string{"i", "steve/i", "steve/i:2026-11", "registry.example:5000/steve/i:X"} {
		if err := s.Tag(name, id); err != nil {
			t.Fatal(err)
		}
		if got, err := s.Resolve(name); err != nil || got != id {
			t.Errorf("%s: %s, %v", name, got.Short(), err)
		}
	}
	if tags, err := s.Tags(); err != nil || len(tags) != 4 || tags["steve/i:2026-11"] != id {
		t.Errorf("tags %v, %v", tags, err)
	}
	if got, err := s.Resolve("steve/other@sha256:" + id.String()); err != nil || got != id {
		t.Errorf("by digest: %v", err)
	}
	for _, bad := range []string{"../x", "a%b", "A", "i@sha256:" + id.String()} {
		if err := s.Tag(bad, id); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
	if err := s.Untag("steve/i:2026-11"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Resolve("steve/i:2026-11"); !errors.Is(err, ErrNotFound) {
		t.Errorf("untagged: %v", err)
	}
}

func FuzzOriginAndSeen(f *testing.F) {
	f.Add([]byte(`{"from":"a","references":["steve/i:1"]}`))
	f.Add([]byte(`{"version":3,"image":"` + image.ID{1}.String() + `","key":"` + image.ID{2}.String() + `"}`))
	s := open(f)
	for _, dir := range []string{"origins", "seen"} {
		if err := mkdir(s.path(dir)); err != nil {
			f.Fatal(err)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		id := image.ID{9}
		for name, kind := range map[string]string{"origins/" + id.String(): "origin", "seen/i": "seen"} {
			if err := os.WriteFile(s.path(name), seal(kind, b), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if o, err := s.Origin(id); o == nil && err == nil || err != nil && !errors.Is(err, ErrDamaged) {
			t.Fatalf("what came from outside counts as built here: %v, %v", o, err)
		}
		if _, err := s.Seen("i"); err != nil && !errors.Is(err, ErrDamaged) {
			t.Fatal(err)
		}
	})
}
