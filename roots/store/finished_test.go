package store

import (
	"bytes"
	"errors"
	"os"
	"strings"
	"testing"

	"ninefold/roots/image"
	"ninefold/roots/pkg"
)

func TestGCKeepsWhatALivingImageWasFinishedWith(t *testing.T) {
	s := open(t)
	lives := putImage(t, s, "lives", image.ID{}, putPackage(t, s, "a", "of a"))
	dies := putImage(t, s, "dies", image.ID{}, putPackage(t, s, "b", "of b"))
	step, other, nobodys := putPackage(t, s, "finish-icons", "icons"), putPackage(t, s, "finish-run", "run"), putPackage(t, s, "finish-old", "old")
	if err := errors.Join(s.Tag("t", lives), s.SetConverted("step 1", step), s.SetFinished(lives, []pkg.Digest{step, step}), s.SetFinished(dies, []pkg.Digest{step, other})); err != nil {
		t.Fatal(err)
	}
	if _, err := s.GC(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got, ok := s.Converted("step 1"); !ok || got != step {
		t.Error("the result of a step of a living image is gone")
	}
	if s.HasPackage(other) || s.HasPackage(nobodys) {
		t.Error("results that no living image was finished with are there")
	}
	if damage, err := s.Verify(t.Context()); err != nil || len(damage) > 0 {
		t.Errorf("after the collection: %v, %v", damage, err)
	}
	if list, err := s.Finished(lives); err != nil || len(list) != 1 || list[0].Name != "finish-icons" {
		t.Errorf("finished with %v, %v", list, err)
	}
	if err := s.RemoveImage(lives); err != nil {
		t.Fatal(err)
	}
	if left, _ := names(s.path("finished")); len(left) > 0 {
		t.Errorf("notes of images that are gone: %v", left)
	}
}

func TestNotesOfFinishingThatCannotBeUsed(t *testing.T) {
	s := open(t)
	id := putImage(t, s, "a", image.ID{}, putPackage(t, s, "a", "of a"))
	step := putPackage(t, s, "finish-icons", "icons")
	if err := errors.Join(s.Tag("t", id), s.SetFinished(id, []pkg.Digest{step})); err != nil {
		t.Fatal(err)
	}
	path := s.path("finished", id.String())
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	// A newer program may need more than this one can see: nothing is removed.
	if err := os.WriteFile(path, bytes.Replace(good, []byte("ninefold-finished 1"), []byte("ninefold-finished 2"), 1), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = s.GC(t.Context())
	if !errors.Is(err, ErrVersion) || !strings.Contains(err.Error(), id.Short()) || !s.HasPackage(step) {
		t.Errorf("collection with a newer note: %v; the step's result is there: %t", err, s.HasPackage(step))
	}
	// A damaged one loses the cache and nothing else; so does a store without any.
	if err := os.WriteFile(path, good[:len(good)-3], 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := s.GC(t.Context()); err != nil || !s.HasImage(id) {
		t.Errorf("collection with a damaged note: %v", err)
	}
	if err := os.RemoveAll(s.path("finished")); err != nil {
		t.Fatal(err)
	}
	if _, err := s.GC(t.Context()); err != nil {
		t.Errorf("collection of a store that never had notes: %v", err)
	}
	if err := s.SetFinished(id, nil); err != nil {
		t.Errorf("the first note of such a store: %v", err)
	}
}

func FuzzFinished(f *testing.F) {
	f.Add(seal("finished", []byte(pkg.Digest{1}.String()+"\n")))
	f.Add(seal("finished", []byte("x\n")))
	f.Fuzz(func(t *testing.T, b []byte) {
		ids, err := parseFinished(b)
		if err != nil {
			return
		}
		var text strings.Builder
		for _, d := range ids {
			text.WriteString(d.String() + "\n")
		}
		if !bytes.Equal(seal("finished", []byte(text.String())), b) {
			t.Fatal("a note that SetFinished does not write was taken")
		}
	})
}
