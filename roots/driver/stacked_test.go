package driver

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"ninefold/roots/image"
	"ninefold/roots/pkg"
	"ninefold/roots/store"
	"ninefold/tests/needs"
)

// family is a base of many names and a line of descendants, each of which adds,
// changes and removes something of those before it.
func family(t *testing.T, s *store.Store, n int) []image.ID {
	ids := []image.ID{baseImage(t, s)}
	for i := range n {
		mark := fmt.Sprint(i)
		z := newZoo(t, s, "p"+mark).file("usr/bin/p"+mark, "program "+mark, nil).file("opt/own"+mark, "own", nil).links("opt/own"+mark, "usr/many/own"+mark)
		if i == 0 {
			z.file("usr/bin/y", "new", nil)
		}
		f := newZoo(t, s, "f"+mark).file("var/lib/dpkg/status", "packages up to "+mark, nil).file("usr/bin/x", "changed", func(e *pkg.Entry) { e.MTime = int64(i) })
		m := &image.Manifest{Name: "i" + mark, Parent: ids[i], Packages: []image.Ref{z.put()}, Finishing: f.put().Digest}
		if i > 0 {
			m.Removed = []string{fmt.Sprint("opt/own", i-1), fmt.Sprint("usr/bin/p", i-1)}
		}
		ids = append(ids, putImage(t, s, m))
	}
	return ids
}

func TestAFamilyHasTheNamesThatItSharesOnce(t *testing.T) {
	needs.Root(t)
	for _, d := range []Driver{Composefs{}, Loop{}} {
		t.Run(d.Name(), func(t *testing.T) {
			needDriver(t, d)
			s := open(t)
			ids := family(t, s, 5)
			for i := len(ids) - 1; i >= 0; i-- { // so that an image finds what its parents lack
				list := layersOf(t, d, s, ids[i], Full)
				if want := i%maxStack + 1; len(list) != want {
					t.Errorf("descendant %d has %d layers, want %d", i, len(list), want)
				}
				mounted(t, list, false, func(root string) error { return compare(root, tree(t, s, ids[i], Full)) })
			}
			list := layersOf(t, d, s, ids[3], Full)
			mounted(t, list, true, write)
			if top, base := size(t, list[0].Source), size(t, list[3].Source); top*10 > base {
				t.Errorf("what a descendant adds takes %d bytes, the base %d", top, base)
			}
			if damage, err := s.Verify(t.Context(), ids[3]); err != nil || len(damage) > 0 {
				t.Errorf("%v, %v", damage, err)
			}
		})
	}
}

func size(t *testing.T, name string) int64 {
	t.Helper()
	st, err := os.Stat(name)
	if err != nil {
		t.Fatal(err)
	}
	return st.Size()
}

// TestAStackThatLacksALayer is made whole again, also after a collection, and
// what was composed whole before there were stacks goes on to serve.
func TestAStackThatLacksALayer(t *testing.T) {
	s := open(t)
	d := Loop{}
	ids := family(t, s, 2)
	base, middle, top := ids[0], ids[1], ids[2]
	if err := s.Tag("top", top); err != nil {
		t.Fatal(err)
	}
	list := layersOf(t, d, s, top, Full)
	if len(list) != 3 {
		t.Fatalf("%d layers", len(list))
	}
	if _, err := s.GC(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Layers(s, top, Full); err != nil {
		t.Errorf("after a collection: %v", err)
	}
	for i, id := range []image.ID{top, middle, base} {
		if err := d.Remove(s, id, Full); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(list[i].Source); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("layer %d after its removal: %v", i, err)
		}
		if _, err := d.Layers(s, top, Full); !errors.Is(err, ErrNotComposed) {
			t.Errorf("without layer %d: %v", i, err)
		}
		if again := layersOf(t, d, s, top, Full); fmt.Sprint(again) != fmt.Sprint(list) {
			t.Errorf("again without layer %d: %v", i, again)
		}
	}
	// An image's whole chain in one.
	whole, err := Metadata(t.Context(), s, middle)
	if err == nil {
		err = s.Write(metadataFile(middle, Full), whole)
	}
	if err != nil {
		t.Fatal(err)
	}
	if list := layersOf(t, d, s, top, Full); len(list) != 2 || filepath.Base(list[1].Source) != middle.String()+".erofs" {
		t.Errorf("over a whole parent: %v", list)
	}
}
