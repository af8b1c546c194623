package inventory

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"ninefold/roots/image"
	"ninefold/roots/pkg"
	"ninefold/roots/store"
)

func open(t testing.TB) *store.Store {
	t.Helper()
	s, err := store.Open(filepath.Join(t.TempDir(), "store"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// put stores a package; a path that ends in a slash is a directory.
func put(t testing.TB, s *store.Store, name, version string, paths ...string) image.Ref {
	t.Helper()
	p := &pkg.Package{Name: name, Version: version, Arch: "amd64"}
	d, n, err := s.Put(t.Context(), strings.NewReader(name+version))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		e := pkg.Entry{Path: path, Kind: pkg.File, Mode: 0o644, Size: n, Digest: d}
		if dir, ok := strings.CutSuffix(path, "/"); ok {
			e = pkg.Entry{Path: dir, Kind: pkg.Dir, Mode: 0o755}
		}
		p.Entries = append(p.Entries, e)
	}
	slices.SortFunc(p.Entries, func(a, b pkg.Entry) int { return strings.Compare(a.Path, b.Path) })
	id, err := s.PutPackage(p)
	if err != nil {
		t.Fatal(err)
	}
	return image.Ref{Name: name, Version: version, Digest: id}
}

// build stores an image and gives it its name.
func build(t testing.TB, s *store.Store, m *image.Manifest, tags ...string) image.ID {
	t.Helper()
	m.Version = image.Version
	slices.SortFunc(m.Packages, func(a, b image.Ref) int { return bytes.Compare(a.Digest[:], b.Digest[:]) })
	id, err := s.PutImage(m)
	for _, tag := range tags {
		err = errors.Join(err, s.Tag(tag, id))
	}
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func load(t testing.TB, s *store.Store) *Set {
	t.Helper()
	w, err := Load(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func tell(l []Match) string {
	var b strings.Builder
	for _, m := range l {
		fmt.Fprintf(&b, "%s(%s): %s %s by %s\n", strings.Join(m.Names, ","), m.Image, m.Package, m.Version, m.By)
	}
	return b.String()
}

func TestFindPackage(t *testing.T) {
	s := open(t)
	base := build(t, s, &image.Manifest{Name: "base", Packages: []image.Ref{put(t, s, "openssl", "3.0.14-1~deb12u2", "usr/bin/openssl")}}, "base", "steve/base:12")
	build(t, s, &image.Manifest{Name: "child", Parent: base, Packages: []image.Ref{put(t, s, "openssl-tools", "9", "usr/bin/tool")}})
	build(t, s, &image.Manifest{Name: "new", Packages: []image.Ref{put(t, s, "openssl", "3.0.15-1", "usr/bin/openssl")}}, "new")
	w := load(t, s)

	old := "(child): openssl 3.0.14-1~deb12u2 by base\nbase,steve/base:12(base): openssl 3.0.14-1~deb12u2 by base\n"
	fixed := "new(new): openssl 3.0.15-1 by new\n"
	for query, want := range map[string]string{
		"openssl": old + fixed, "openssl<3.0.15": old, "openssl <= 3.0.14-1~deb12u2": old, "openssl<3.0.14-1~deb12u2": "",
		"openssl>3.0.14-1~deb12u2": fixed, "openssl>=3.0.14": old + fixed, "openssl>=3.0.15": fixed, "openssl=3.0.15-1": fixed, "openssl=0:3.0.15-1": fixed, "openss": "",
	} {
		q, err := ParseQuery(query)
		if err != nil {
			t.Fatal(err)
		}
		if got := tell(w.Packages(q)); got != want {
			t.Errorf("%s:\n%swant\n%s", query, got, want)
		}
	}
}

func TestQueryErrors(t *testing.T) {
	for _, text := range []string{"", "<1", "a<", "a==1", "a<<1", "a<>1", "a<1<2", "a b", "a<1 2", "a\nb", "ä<1", "a=1/2"} {
		if q, err := ParseQuery(text); !errors.Is(err, ErrQuery) {
			t.Errorf("%q: %v %v", text, q, err)
		}
	}
}

func TestFindFile(t *testing.T) {
	s := open(t)
	finishing := put(t, s, "_finishing", "", "etc/made")
	base := build(t, s, &image.Manifest{Name: "base", Finishing: finishing.Digest, Packages: []image.Ref{
		put(t, s, "tool", "1", "usr/bin/tool", "usr/share/x/", "usr/share/x/data", "etc/made", "etc/old/file"), put(t, s, "more", "1", "usr/share/x/", "usr/share/x/y")}}, "base")
	build(t, s, &image.Manifest{Name: "child", Parent: base, Removed: []string{"etc/old"}, Packages: []image.Ref{
		put(t, s, "tool-local", "2", "usr/bin/tool", "usr/share/x/")}}, "child")
	w := load(t, s)
	for path, want := range map[string]string{
		"/usr/bin/tool":      "base(base): tool 1 by base\nchild(child): tool-local 2 by child\n",
		"/bin/../bin/tool":   "base(base): tool 1 by base\nchild(child): tool-local 2 by child\n",
		"/usr/share/x/data/": "base(base): tool 1 by base\nchild(child): tool 1 by base\n",
		"/usr/share/x": "base(base): more 1 by base\nbase(base): tool 1 by base\n" +
			"child(child): more 1 by base\nchild(child): tool 1 by base\nchild(child): tool-local 2 by child\n",
		"/etc/made":     "base(base): _finishing  by base\nchild(child): _finishing  by base\n",
		"/etc/old/file": "base(base): tool 1 by base\n",
		"/usr/bin/too":  "", "/bin": "",
	} {
		got, err := w.File(t.Context(), path)
		if err != nil || tell(got) != want {
			t.Errorf("%s: %v\n%swant\n%s", path, err, tell(got), want)
		}
	}
	for _, path := range []string{"", "/", "usr/bin/tool"} {
		if _, err := w.File(t.Context(), path); !errors.Is(err, ErrQuery) {
			t.Errorf("%q: %v", path, err)
		}
	}
}

func FuzzParseQuery(f *testing.F) {
	for _, text := range []string{"openssl", "openssl<3.0.15", "a >= 1:2~b-3", "a<>1"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		q, err := ParseQuery(text)
		if err != nil {
			return
		}
		if again, err := ParseQuery(q.Name + q.Op + q.Version); err != nil || again != q {
			t.Errorf("%q: %v, then %v %v", text, q, again, err)
		}
	})
}

// BenchmarkFind asks a store of 100 images: ten families, each of a parent with
// 300 packages of 40 files and nine children that add 20 and a finishing package.
func BenchmarkFind(b *testing.B) {
	s := open(b)
	paths := func(name string, n int) []string {
		var out []string
		for i := range n {
			out = append(out, fmt.Sprintf("usr/share/%s/file-%04d", name, i))
		}
		return out
	}
	for family := range 10 {
		var parent image.ID
		for i := range 10 {
			m := &image.Manifest{Name: fmt.Sprintf("image-%d-%d", family, i), Parent: parent}
			n := 20
			if i == 0 {
				n = 300
			}
			for k := range n {
				name := fmt.Sprintf("package-%d-%d", i, k)
				m.Packages = append(m.Packages, put(b, s, name, fmt.Sprintf("%d.0-1", family), paths(name, 40)...))
			}
			m.Finishing = put(b, s, "_finishing", "", paths(m.Name, 1000)...).Digest
			id := build(b, s, m, m.Name)
			if i == 0 {
				parent = id
			}
		}
	}
	b.Run("package", func(b *testing.B) {
		for b.Loop() {
			if l := load(b, s).Packages(Query{Name: "package-0-7", Op: "<", Version: "5"}); len(l) != 50 {
				b.Fatal(len(l))
			}
		}
	})
	b.Run("file", func(b *testing.B) {
		for b.Loop() {
			l, err := load(b, s).File(b.Context(), "/usr/share/package-0-7/file-0003")
			if err != nil || len(l) != 100 {
				b.Fatal(len(l), err)
			}
		}
	})
}
