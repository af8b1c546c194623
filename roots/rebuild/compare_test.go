package rebuild

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"ninefold/roots/driver"
	"ninefold/roots/image"
	"ninefold/roots/pkg"
	"ninefold/roots/store"
)

func open(t *testing.T) *store.Store {
	t.Helper()
	s, err := store.Open(filepath.Join(t.TempDir(), "store"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// put stores an image of one package, finished with what entries say.
func put(t *testing.T, s *store.Store, text string, change func(finishing *pkg.Package, m *image.Manifest)) image.ID {
	t.Helper()
	content := func(text string) pkg.Entry {
		d, n, err := s.Put(t.Context(), strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		return pkg.Entry{Kind: pkg.File, Mode: 0o644, MTime: 1000, Digest: d, Size: n}
	}
	tool, finishing := &pkg.Package{Name: "tool", Version: "1", Arch: "all"}, &pkg.Package{Name: "_finishing", Arch: "all"}
	e := content(text)
	e.Path = "usr/share/tool"
	tool.Entries = []pkg.Entry{e}
	for _, name := range []string{"a", "b", "c", "d", "e", "f", "g", "h"} {
		e := content("same")
		e.Path = "etc/" + name
		finishing.Entries = append(finishing.Entries, e)
	}
	finishing.Entries = append(finishing.Entries, pkg.Entry{Path: "etc/link", Kind: pkg.Symlink, Mode: 0o777, Target: "a", MTime: 1000},
		pkg.Entry{Path: "var", Kind: pkg.Dir, Mode: 0o755, MTime: 1000})
	m := &image.Manifest{Version: image.Version, Name: "desk", Environment: map[string]string{"A": "1"}}
	change(finishing, m)
	id, err := s.PutPackage(tool)
	if err != nil {
		t.Fatal(err)
	}
	m.Packages = []image.Ref{{Name: "tool", Version: "1", Digest: id}}
	if m.Finishing, err = s.PutPackage(finishing); err != nil {
		t.Fatal(err)
	}
	made, err := s.PutImage(m)
	if err != nil {
		t.Fatal(err)
	}
	step := *finishing
	step.Name = "finish-icons"
	stepID, err := s.PutPackage(&step)
	if err := errors.Join(err, s.SetFinished(made, []pkg.Digest{stepID})); err != nil {
		t.Fatal(err)
	}
	return made
}

func TestCompareNamesEveryKindOfDifference(t *testing.T) {
	a, b := open(t), open(t)
	first := put(t, a, "1", func(*pkg.Package, *image.Manifest) {})
	second := put(t, b, "2", func(p *pkg.Package, m *image.Manifest) {
		at := func(path string) *pkg.Entry { return p.Entry(path) }
		other, _, err := b.Put(t.Context(), strings.NewReader("ELSE"))
		if err != nil {
			t.Fatal(err)
		}
		at("etc/a").Digest = other
		at("etc/b").Mode = 0o600
		at("etc/c").GID = 5
		at("etc/d").MTime = 1001
		at("etc/e").Xattrs = []pkg.Xattr{{Name: "user.x", Value: []byte("y")}}
		at("etc/g").Link = "etc/f"
		at("etc/link").Target = "b"
		at("var").MTime = 1001
		p.Entries = slices.DeleteFunc(p.Entries, func(e pkg.Entry) bool { return e.Path == "etc/h" })
		m.Environment = map[string]string{"A": "2"}
		m.Removed = []string{"usr/share/doc"}
	})
	found, err := Compare(t.Context(), a, b, [][2]image.ID{{first, second}})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, d := range found {
		got = append(got, fmt.Sprint(d.Package, ":", d.Path, " ", d.What, d.By))
	}
	want := []string{
		": [environment] []", ":usr/share/doc [removed] []", "tool:usr/share/tool [content] []",
		":etc/a [content] [icons]", ":etc/b [mode] [icons]", ":etc/c [owner] [icons]", ":etc/d [time] [icons]", ":etc/e [xattrs] [icons]",
		":etc/g [link] [icons]", ":etc/h [missing] [icons]", ":etc/link [target] [icons]", ":var [time] [icons]",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestCompareReadsEveryByte(t *testing.T) {
	a, b := open(t), open(t)
	id := put(t, a, "1", func(*pkg.Package, *image.Manifest) {})
	if again := put(t, b, "1", func(*pkg.Package, *image.Manifest) {}); again != id {
		t.Fatal("the same packages give another image")
	}
	pairs := [][2]image.ID{{id, id}}
	if found, err := Compare(t.Context(), a, b, pairs); err != nil || len(found) > 0 {
		t.Fatalf("%v, %v", found, err)
	}
	// Another metadata image of the same files.
	layers, err := driver.Composefs{}.Layers(b, id, driver.Full)
	if err != nil {
		t.Fatal(err)
	}
	image := layers[0].Source
	good, err := os.ReadFile(image)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(image, append(slices.Clone(good), 0), 0o600); err != nil {
		t.Fatal(err)
	}
	found, err := Compare(t.Context(), a, b, pairs)
	if err == nil && (len(found) != 1 || !slices.Equal(found[0].What, []string{"order"})) || err != nil && !errors.Is(err, store.ErrDamaged) {
		t.Errorf("another metadata image: %v, %v", found, err)
	}
	if err := os.WriteFile(image, good, 0o600); err != nil {
		t.Fatal(err)
	}
	// A bit of the content.
	p, err := b.Image(id)
	if err != nil {
		t.Fatal(err)
	}
	tool, err := b.Package(p.Packages[0].Digest)
	if err != nil {
		t.Fatal(err)
	}
	object := filepath.Join(b.Dir(), "objects", tool.Entries[0].Digest.String()[:2], tool.Entries[0].Digest.String()[2:])
	if err := errors.Join(os.Chmod(object, 0o600), os.WriteFile(object, []byte("0"), 0o600)); err != nil {
		t.Fatal(err)
	}
	if _, err := Compare(t.Context(), a, b, pairs); !errors.Is(err, store.ErrDamaged) || !strings.Contains(err.Error(), "/usr/share/tool") {
		t.Errorf("a flipped bit: %v", err)
	}
}

func TestExportsOfWhatStandsOnNothingElse(t *testing.T) {
	a, b := open(t), open(t)
	var ids [2]image.ID
	var sums [2]Exports
	for i, s := range []*store.Store{a, b} {
		ids[0] = put(t, s, "1", func(*pkg.Package, *image.Manifest) {})
		ids[1] = put(t, s, "1", func(p *pkg.Package, m *image.Manifest) { m.Parent, p.Entries = ids[0], nil; m.Name = "top" })
		var err error
		if sums[i], err = SumExports(t.Context(), s, ids[:]); err != nil {
			t.Fatal(err)
		}
	}
	if len(sums[0]) != 1 || len(sums[0].Compare(sums[1], ids[1])) > 0 || sums[0].Compare(sums[1], ids[0]) != nil {
		t.Errorf("%v and %v", sums[0], sums[1])
	}
	for _, form := range []string{"tar", "oci"} {
		sums[1][ids[1].String()][form] = pkg.Digest{}
	}
	if got := sums[0].Compare(sums[1], ids[1]); !slices.Equal(got, []string{"export to tar", "export to oci"}) {
		t.Errorf("found %v", got)
	}
}

// TestAWholeAndAStack compares an image that one store has in one metadata image,
// as old ones do, with the same over its parent's.
func TestAWholeAndAStack(t *testing.T) {
	a, b := open(t), open(t)
	var ids []image.ID
	for _, s := range []*store.Store{a, b} {
		base := put(t, s, "base", func(p *pkg.Package, _ *image.Manifest) {
			for i := range 2000 {
				p.Entries = append(p.Entries, pkg.Entry{Path: fmt.Sprintf("var/many/%04d", i), Kind: pkg.Symlink, Mode: 0o777, Target: "x", MTime: 1000})
			}
			p.Sort()
		})
		ids = append(ids, put(t, s, "base", func(_ *pkg.Package, m *image.Manifest) { m.Parent, m.Name = base, "child" }))
	}
	whole, err := driver.Metadata(t.Context(), a, ids[0])
	if err == nil {
		err = a.Write("composefs/"+ids[0].String()+".erofs", whole)
	}
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time both are stacks
		found, err := Compare(t.Context(), a, b, [][2]image.ID{{ids[0], ids[1]}})
		if err != nil || len(found) > 0 {
			t.Fatalf("%+v, %v", found, err)
		}
		if err := (driver.Composefs{}).Remove(a, ids[0], driver.Full); err != nil {
			t.Fatal(err)
		}
	}
	if l, err := (driver.Composefs{}).Layers(b, ids[1], driver.Full); err != nil || len(l) != 2 {
		t.Errorf("the new one has %d layers: %v", len(l), err)
	}
	// What is on disk is what is compared.
	l, err := driver.Composefs{}.Layers(b, ids[1], driver.Full)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(l[0].Source, []byte("other"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Compare(t.Context(), a, b, [][2]image.ID{{ids[0], ids[1]}}); !errors.Is(err, store.ErrDamaged) {
		t.Errorf("another metadata image: %v", err)
	}
}
