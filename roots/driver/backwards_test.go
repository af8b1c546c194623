package driver

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"testing"

	"ninefold/roots/image"
	"ninefold/tests/needs"
)

// A farm that was made backwards holds the same, links before their first names
// or not, and lists it in another order than that of the names.
func TestBackwardsFarm(t *testing.T) {
	needs.Root(t)
	s := open(t)
	z := newZoo(t, s, "p")
	for i := range 40 {
		z.file(fmt.Sprintf("usr/share/many/%02d", i), "same", nil)
	}
	id := putImage(t, s, &image.Manifest{Name: "many", Packages: []image.Ref{z.put()}})
	base := baseImage(t, s)
	for _, id := range []image.ID{base, childImage(t, s, base), id} {
		l := layersOf(t, Farm{Backwards: true}, s, id, Full)
		mounted(t, l, false, func(root string) error { return compare(root, tree(t, s, id, Full)) })
		d, err := os.Open(l[0].Source + "/usr/share/many")
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		if names, err := d.Readdirnames(-1); err != nil || len(names) != 40 || slices.IsSorted(names) {
			t.Errorf("the names are listed as %q, %v", names, err)
		}
	}
	if damage, err := s.Verify(t.Context()); err != nil || len(damage) > 0 {
		t.Errorf("%v, %v", damage, err)
	}
}
