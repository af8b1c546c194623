package build

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"ninefold/roots/debian/testrepo"
	"ninefold/roots/lock"
	"ninefold/roots/store"
)

// A recipe that comes from an image by its tag stands on what the tag stood
// for when it was locked, and has its packages and environment.
func TestFromAnImageByItsTag(t *testing.T) {
	w := newWorld(t)
	w.recipe("child", "from = \"steve/mid:1\"\npackages = [\"app\"]\n[source]\nsuite = \"trixie\"\nmirror = \""+w.repo.URL()+"\"\nkeyring = \""+w.repo.Keyring+"\"\n")
	c := w.config(t.TempDir(), t.TempDir())
	if _, err := Build(context.Background(), c, "child", Options{}); !errors.Is(err, store.ErrNotFound) {
		t.Fatalf("without the image: %v", err)
	}
	mid := w.build(c, "mid", Options{})
	if err := c.Store.Tag("steve/mid:1", mid.ID); err != nil {
		t.Fatal(err)
	}
	child := w.build(c, "child", Options{})
	m, err := c.Store.Image(child.ID)
	if err != nil || m.Parent != mid.ID || m.Environment["MID"] != "1" {
		t.Fatalf("%+v, %v", m, err)
	}
	// The solver took the parent's packages as installed.
	top := w.build(c, "top", Options{})
	want, err := c.Store.Image(top.ID)
	if err != nil {
		t.Fatal(err)
	}
	if len(m.Packages) != len(want.Packages) || !slices.Equal(m.Packages, want.Packages) {
		t.Errorf("it has %v, and as a recipe on mid %v", m.Packages, want.Packages)
	}
	// The tag moves, and the lock does not.
	base, err := c.Store.Resolve("base")
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Store.Tag("steve/mid:1", base); err != nil {
		t.Fatal(err)
	}
	if r := w.build(c, "child", Options{}); r.ID != child.ID || !r.Images[0].Unchanged {
		t.Errorf("it was built anew: %+v", r.Images)
	}
	r := w.build(c, "child", Options{Relock: true})
	if m, err := c.Store.Image(r.ID); err != nil || m.Parent != base {
		t.Errorf("locked again: %+v, %v", m, err)
	}
	w.recipe("child", "from = \"steve/other\"\npackages = [\"app\"]\n[source]\nsuite = \"trixie\"\nmirror = \""+w.repo.URL()+"\"\nkeyring = \""+w.repo.Keyring+"\"\n")
	c = w.config(c.State, c.Locks[0])
	if _, err := Build(context.Background(), c, "child", Options{}); !errors.Is(err, lock.ErrStale) {
		t.Errorf("another parent: %v, want ErrStale", err)
	}
}

// When a parent moves, each child is made over the new one, of packages that
// are there; only steps that read what changed run.
func TestChildrenMoveWithTheirParent(t *testing.T) {
	w := newWorld(t)
	w.recipe("desk", "from = \"base\"\npackages = [\"icons\"]\n")
	w.recipe("dev", "from = \"desk\"\npackages = [\"daemon\"]\n")
	w.recipe("game", "from = \"desk\"\npackages = [\"app\"]\n")
	c := w.config(t.TempDir(), t.TempDir())
	before := map[string]*Result{"dev": w.build(c, "dev", Options{}), "game": w.build(c, "game", Options{})}
	for i := range w.debs {
		if w.debs[i].Name == "icons" {
			w.debs[i].Version = "2"
			w.debs[i].Files = append(w.debs[i].Files, testrepo.File{Path: "usr/share/icons/T/16/y.png", Text: "y"})
		}
	}
	w.repo.Publish(t, w.debs...)
	converted := 0
	for _, name := range []string{"dev", "game"} {
		r := w.build(c, name, Options{Relock: true})
		if r.ID == before[name].ID || !r.Images[0].Unchanged {
			t.Errorf("%s: %+v", name, r.Images)
		}
		for _, i := range r.Images {
			converted += i.Converted
			for _, s := range i.Steps {
				if !s.Cached && !slices.Contains([]string{"icons", "dpkg"}, s.Step) {
					t.Errorf("%s ran %s, which reads nothing that changed", i.Name, s.Step)
				}
			}
		}
		if last := r.Images[len(r.Images)-1]; last.Converted != 0 {
			t.Errorf("%s: %d of its packages were converted again", name, last.Converted)
		}
		text := inside(t, c, r.ID, "test -e /usr/share/icons/T/16/y.png && echo there")
		if !strings.Contains(text, "there") {
			t.Errorf("%s does not stand on the new parent: %q", name, text)
		}
	}
	if converted != 1 {
		t.Errorf("%d packages were converted, and one changed", converted)
	}
}
