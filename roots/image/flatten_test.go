package image

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"ninefold/roots/pkg"
)

func file(path, content string) pkg.Entry {
	return pkg.Entry{Path: path, Kind: pkg.File, Mode: 0o644, Size: int64(len(content)), Digest: sha256.Sum256([]byte(content))}
}

func dir(path string, mode uint32) pkg.Entry {
	return pkg.Entry{Path: path, Kind: pkg.Dir, Mode: mode}
}

func link(path, target string) pkg.Entry {
	return pkg.Entry{Path: path, Kind: pkg.Symlink, Mode: 0o777, Target: target}
}

func hard(path, first, content string) pkg.Entry {
	e := file(path, content)
	e.Link = first
	return e
}

func pack(t testing.TB, name string, entries ...pkg.Entry) *pkg.Package {
	t.Helper()
	p := &pkg.Package{Name: name, Version: "1", Entries: entries}
	p.Sort()
	return p
}

// level makes one image of a chain from packages; finishing may be nil.
func level(t testing.TB, name string, finishing *pkg.Package, removed []string, packages ...*pkg.Package) Built {
	t.Helper()
	b := Built{Manifest: &Manifest{Version: Version, Name: name, Removed: removed}, Finishing: finishing}
	byID := map[pkg.Digest]*pkg.Package{}
	for _, p := range packages {
		id, err := p.ID()
		if err != nil {
			t.Fatal(err)
		}
		byID[id] = p
		b.Manifest.Packages = append(b.Manifest.Packages, Ref{p.Name, p.Version, id})
	}
	slices.SortFunc(b.Manifest.Packages, func(x, y Ref) int { return strings.Compare(x.Digest.String(), y.Digest.String()) })
	for _, r := range b.Manifest.Packages {
		b.Packages = append(b.Packages, byID[r.Digest])
	}
	if finishing != nil {
		id, err := finishing.ID()
		if err != nil {
			t.Fatal(err)
		}
		b.Manifest.Finishing = id
	}
	return b
}

// show lists a tree, one word a path, for comparison.
func show(t *Tree) string {
	var b strings.Builder
	for i := range t.Entries {
		e := &t.Entries[i]
		fmt.Fprintf(&b, "%s", e.Path)
		switch {
		case IsWhiteout(e):
			b.WriteString("=gone")
		case e.Kind == pkg.Dir:
			fmt.Fprintf(&b, "/%o", e.Mode)
		case e.Link != "":
			fmt.Fprintf(&b, "=>%s", e.Link)
		case e.Kind == pkg.Symlink:
			fmt.Fprintf(&b, "->%s", e.Target)
		default:
			fmt.Fprintf(&b, ":%d", e.Size)
		}
		b.WriteByte(' ')
	}
	return strings.TrimSpace(b.String())
}

func flatten(t testing.TB, chain ...Built) *Tree {
	t.Helper()
	tree, err := Flatten(chain)
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

func TestFlattenJoinsPackages(t *testing.T) {
	tree := flatten(t, level(t, "base", nil, nil,
		pack(t, "a", dir("usr", 0o755), file("usr/bin/a", "a"), file("usr/bin-x", "x")),
		pack(t, "b", dir("usr", 0o755), file("usr/bin/b", "bb"))))
	want := "usr/755 usr/bin/755 usr/bin-x:1 usr/bin/a:1 usr/bin/b:2"
	// Bytewise, "usr/bin-x" stands between "usr/bin" and "usr/bin/a".
	if got := show(tree); got != want {
		t.Errorf("have %s\nwant %s", got, want)
	}
	_, o, ok := tree.Lookup("/usr/bin/b")
	if !ok || o.Package != "b" || o.Image != "base" {
		t.Errorf("usr/bin/b belongs to %v", o)
	}
	if _, o, ok := tree.Lookup("usr/bin"); !ok || o != nil {
		t.Errorf("the implied directory belongs to %v", o)
	}
}

func TestConflictNamesBothPackagesAndThePath(t *testing.T) {
	setuid := file("bin/x", "x")
	setuid.Mode = 0o4755
	late := file("bin/x", "x")
	late.MTime = 5
	for name, tc := range map[string]struct {
		other pkg.Entry
		why   string
	}{
		"content": {file("bin/x", "y!"), "different content"},
		"mode":    {setuid, "modes 0644 and 4755"},
		"time":    {late, "modification times"},
		"kind":    {link("bin/x", "y"), "a file and a symbolic link"},
		"dir":     {dir("bin/x", 0o755), "directory"},
		"below":   {file("bin/x/y", "y"), "a directory is needed for /bin/x/y"},
		"parent":  {link("bin", "usr/bin"), "directory"},
	} {
		for _, chain := range [][]Built{
			{level(t, "one", nil, nil, pack(t, "aaa", file("bin/x", "x")), pack(t, "bbb", tc.other))},
			{level(t, "base", nil, nil, pack(t, "aaa", file("bin/x", "x"))), level(t, "child", nil, nil, pack(t, "bbb", tc.other))},
		} {
			_, err := Flatten(chain)
			var c *ConflictError
			if !errors.As(err, &c) || !errors.Is(err, ErrConflict) {
				t.Errorf("%s: %v", name, err)
				continue
			}
			for _, want := range []string{"aaa 1", "bbb 1", "/bin"} {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%s: %q does not say %q", name, err, want)
				}
			}
			// Which of the two comes first depends on their digests.
			words := strings.Fields(tc.why)
			if !strings.Contains(err.Error(), words[0]) || !strings.Contains(err.Error(), words[len(words)-1]) {
				t.Errorf("%s: %q does not say why (%s)", name, err, tc.why)
			}
		}
	}
}

func TestNoConflict(t *testing.T) {
	old, special := dir("var/lib/x", 0o755), dir("var/lib/x", 0o750)
	old.MTime, special.GID = 9, 42
	tree := flatten(t, level(t, "one", nil, nil,
		pack(t, "a", old, file("same", "x")), pack(t, "b", special, file("same", "x")), pack(t, "c", file("var/lib/x/f", ""))))
	e, o, _ := tree.Lookup("var/lib/x")
	if e.Mode != 0o750 || e.GID != 42 || e.MTime != 9 || o.Package != "b" {
		t.Errorf("var/lib/x is %+v of %v: the special directory stands, with the later time", e, o)
	}
	other := dir("var/lib/x", 0o700)
	if _, err := Flatten([]Built{level(t, "one", nil, nil, pack(t, "b", special), pack(t, "d", other))}); !errors.Is(err, ErrConflict) {
		t.Errorf("two special directories: %v", err)
	}
}

func TestFinishingWins(t *testing.T) {
	base := level(t, "base", pack(t, "fin", file("etc/passwd", "made"), file("usr/share/doc", "a file now")), []string{"etc/gone"},
		pack(t, "a", file("etc/passwd", ""), file("etc/gone/x", "x"), file("etc/kept", "k"), file("usr/share/doc/a/copyright", "c")))
	if got, want := show(flatten(t, base)), "etc/755 etc/kept:1 etc/passwd:4 usr/755 usr/share/755 usr/share/doc:10"; got != want {
		t.Errorf("have %s\nwant %s", got, want)
	}
	child := level(t, "child", nil, nil, pack(t, "b", file("etc/gone/y", "y"), file("etc/new", "n")))
	if got, want := show(flatten(t, base, child)), "etc/755 etc/gone/755 etc/gone/y:1 etc/kept:1 etc/new:1 etc/passwd:4 usr/755 usr/share/755 usr/share/doc:10"; got != want {
		t.Errorf("have %s\nwant %s", got, want)
	}
	below := level(t, "child", nil, nil, pack(t, "b", file("usr/share/doc/b", "b")))
	if _, err := Flatten([]Built{base, below}); !errors.Is(err, ErrConflict) {
		t.Errorf("a file below a finishing step's file: %v", err)
	}
}

func TestDiversions(t *testing.T) {
	dash := pack(t, "dash", link("usr/bin/sh", "dash"), file("usr/bin/dash", "d"))
	dash.Declared.Diversions = []pkg.Diversion{{From: "/usr/bin/sh", To: "/usr/bin/sh.distrib", By: "dash"}}
	bash := pack(t, "bash", file("usr/bin/sh", "bash"), hard("usr/bin/zsh", "usr/bin/sh", "bash"))
	want := "usr/755 usr/bin/755 usr/bin/dash:1 usr/bin/sh->dash usr/bin/sh.distrib:4 usr/bin/zsh=>usr/bin/sh.distrib"
	if got := show(flatten(t, level(t, "one", nil, nil, dash, bash))); got != want {
		t.Errorf("have %s\nwant %s", got, want)
	}
	// A child's package diverts a parent's file.
	if got := show(flatten(t, level(t, "base", nil, nil, bash), level(t, "child", nil, nil, dash))); got != want {
		t.Errorf("have %s\nwant %s", got, want)
	}
	rival := pack(t, "rival")
	rival.Declared.Diversions = []pkg.Diversion{{From: "/usr/bin/sh", To: "/elsewhere", By: "rival"}}
	if _, err := Flatten([]Built{level(t, "one", nil, nil, dash, rival)}); !errors.Is(err, ErrConflict) {
		t.Errorf("two diversions of one path: %v", err)
	}
}

func TestHardLinksSurviveTheLossOfTheFirst(t *testing.T) {
	p := pack(t, "a", file("a", "x"), hard("b", "a", "x"), hard("c", "a", "x"), file("d", "x"))
	if got, want := show(flatten(t, level(t, "one", nil, []string{"a"}, p))), "b:1 c=>b d:1"; got != want {
		t.Errorf("have %s, want %s", got, want)
	}
}

func TestWhiteoutsAreRefused(t *testing.T) {
	p := pack(t, "evil", pkg.Entry{Path: "etc/shadow", Kind: pkg.Char, Mode: 0o600})
	if _, err := Flatten([]Built{level(t, "one", nil, nil, p)}); err == nil {
		t.Error("a package with a whiteout was taken")
	}
}

// lay is an overlay of two trees: what top says, whiteouts, and base below.
func lay(base, top *Tree) map[string]pkg.Entry {
	m := map[string]pkg.Entry{}
	for _, e := range base.Entries {
		m[e.Path] = e
	}
	for i := range top.Entries {
		e := top.Entries[i]
		if e.Kind != pkg.Dir {
			maps.DeleteFunc(m, func(p string, _ pkg.Entry) bool { return strings.HasPrefix(p, e.Path+"/") })
		}
		if delete(m, e.Path); !IsWhiteout(&e) {
			m[e.Path] = e
		}
	}
	return m
}

// TestAboveOverBaseIsTheWhole builds random chains and compares.
func TestAboveOverBaseIsTheWhole(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 9))
	name := func() string {
		parts := make([]string, 1+rng.IntN(3))
		for i := range parts {
			parts[i] = string(rune('a' + rng.IntN(4)))
		}
		return strings.Join(parts, "/")
	}
	entries := func(n int, mark string) []pkg.Entry {
		var l []pkg.Entry
		for range n {
			p := name()
			if !slices.ContainsFunc(l, func(e pkg.Entry) bool {
				return e.Path == p || strings.HasPrefix(e.Path, p+"/") || strings.HasPrefix(p, e.Path+"/")
			}) {
				l = append(l, file(p, mark))
			}
		}
		return l
	}
	compared := 0
	for range 3000 {
		var chain []Built
		for i := range 2 + rng.IntN(2) {
			l := fmt.Sprint("l", i)
			var removed []string
			for range rng.IntN(3) {
				removed = append(removed, name())
			}
			chain = append(chain, level(t, l, pack(t, "fin"+l, entries(rng.IntN(3), l+"f")...), removed, pack(t, "p"+l, entries(rng.IntN(4), l)...)))
		}
		full, err := Flatten(chain)
		if errors.Is(err, ErrConflict) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		k := 1 + rng.IntN(len(chain)-1)
		base, err := Flatten(chain[:k])
		if err != nil {
			continue // a removal above took the conflict away
		}
		own := full.Above(base, k)
		if !slices.IsSortedFunc(own.Entries, func(a, b pkg.Entry) int { return strings.Compare(a.Path, b.Path) }) {
			t.Fatalf("not sorted: %s", show(own))
		}
		got := lay(base, own)
		want := map[string]pkg.Entry{}
		for _, e := range full.Entries {
			want[e.Path] = e
		}
		if !maps.EqualFunc(got, want, func(a, b pkg.Entry) bool { return SameEntry(&a, &b) }) {
			t.Fatalf("base %s\nown  %s\nfull %s", show(base), show(own), show(full))
		}
		compared++
	}
	if compared < 500 {
		t.Errorf("only %d chains were free of conflicts", compared)
	}
}

// dpkg's list of an image's packages must not hide that of the root which its
// part is laid over.
func TestAPartLeavesTheListOfPackagesAlone(t *testing.T) {
	chain := []Built{
		level(t, "base", pack(t, "f1", file(installed, "one")), nil, pack(t, "one", file("bin/one", "1"))),
		level(t, "child", pack(t, "f2", file(installed, "one and two"), file("var/lib/dpkg/info/two.list", "2")), nil, pack(t, "two", file("bin/two", "2"))),
	}
	full, err := Flatten(chain)
	if err != nil {
		t.Fatal(err)
	}
	base, err := Flatten(chain[:1])
	if err != nil {
		t.Fatal(err)
	}
	part := full.Above(base, 1)
	_, own := part.Index(installed)
	_, list := part.Index("var/lib/dpkg/info/two.list")
	_, whole := full.Index(installed)
	if own || !list || !whole {
		t.Errorf("part %s\nfull %s", show(part), show(full))
	}
}

func TestDiff(t *testing.T) {
	moved := file("bin/a", "a")
	moved.Mode = 0o755
	a := []Built{level(t, "one", nil, nil, pack(t, "a", file("bin/a", "a")), pack(t, "b", file("bin/b", "b")))}
	b := []Built{level(t, "one", nil, nil, pack(t, "a", moved, file("bin/c", "c")))}
	d, err := Diff(a, b)
	if err != nil {
		t.Fatal(err)
	}
	if len(d.Packages) != 2 || !d.Packages[0].Repackaged || d.Packages[1].New != "" {
		t.Errorf("packages: %+v", d.Packages)
	}
	want := "[{bin/a changed [mode] a 1} {bin/b removed [] b 1} {bin/c added [] a 1}]"
	if got := fmt.Sprint(d.Files); got != want {
		t.Errorf("have %s\nwant %s", got, want)
	}
}
