package store

import (
	"os"
	"testing"

	"ninefold/roots/image"
	"ninefold/roots/pkg"
)

// TestNotesGoWithTheirPackage keeps notes of each kind until the package is
// collected, and takes a damaged one for none.
func TestNotesGoWithTheirPackage(t *testing.T) {
	s := open(t)
	var ids []pkg.Digest
	for _, name := range []string{"kept", "lost"} {
		id, err := s.PutPackage(&pkg.Package{Name: name, Version: "1"})
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
	}
	kept, err := s.PutImage(&image.Manifest{Version: image.Version, Name: "kept", Packages: []image.Ref{{Name: "kept", Version: "1", Digest: ids[0]}}})
	if err == nil {
		err = s.Tag("kept", kept)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range ids {
		for _, kind := range []Notes{Packed, Sources} {
			if s.Note(kind, id) != nil {
				t.Error("there is a note that nobody made")
			}
			if err := s.SetNote(kind, id, []byte(kind)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if _, err := s.GC(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, kind := range []Notes{Packed, Sources} {
		if a, b := s.Note(kind, ids[0]), s.Note(kind, ids[1]); string(a) != string(kind) || b != nil {
			t.Errorf("%s of the package that is kept: %q, of the other: %q", kind, a, b)
		}
	}
	if err := os.WriteFile(s.path("packed", ids[0].String()), seal("sources", []byte(ids[0].String()+"\nx")), 0o600); err != nil {
		t.Fatal(err)
	}
	if note := s.Note(Packed, ids[0]); note != nil {
		t.Errorf("a damaged note says %q", note)
	}
}
