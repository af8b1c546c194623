package finish

import (
	"context"
	"os"
	"slices"
	"strings"
	"testing"

	"ninefold/roots/pkg"
	"ninefold/roots/store"
)

var shared *store.Store

// TestMain opens one store for all tests: it only ever grows.
func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "finish")
		if err != nil {
			panic(err)
		}
		defer os.RemoveAll(dir)
		if shared, err = store.Open(dir); err != nil {
			panic(err)
		}
		defer shared.Close()
		return m.Run()
	}())
}

func testStore(testing.TB) *store.Store { return shared }

// tree makes entries from "path" (a directory when it ends in a slash),
// "path -> target" and "path = content".
func tree(t testing.TB, objects Objects, lines ...string) []pkg.Entry {
	t.Helper()
	out := newOutput(context.Background(), objects, 1000)
	for _, l := range lines {
		if p, target, ok := strings.Cut(l, " -> "); ok {
			out.link(p, target)
			continue
		}
		if p, ok := strings.CutSuffix(l, "/"); ok {
			out.dir(p, 0o755, 0, 0)
			continue
		}
		p, content, _ := strings.Cut(l, " = ")
		if err := out.file(p, 0o644, []byte(content)); err != nil {
			t.Fatal(err)
		}
	}
	return out.sorted()
}

func newTree(t testing.TB, lines ...string) *View {
	s := testStore(t)
	return NewView(s, tree(t, s, lines...))
}

// run applies one step and fails the test when it fails.
func run(t testing.TB, v *View, name string, p Params) []Ran {
	t.Helper()
	ran, err := Run(context.Background(), v.objects, v, Options{Steps: []string{name}, Params: p})
	if err != nil {
		t.Fatal(err)
	}
	return ran
}

// show lists what the view has at and below dir, as tree takes it.
func show(t testing.TB, v *View, dir string) []string {
	t.Helper()
	var list []string
	for e := range v.Below(dir) {
		switch e.Kind {
		case pkg.Dir:
			list = append(list, e.Path+"/")
		case pkg.Symlink:
			list = append(list, e.Path+" -> "+e.Target)
		default:
			b, err := v.Read(e.Path)
			if err != nil {
				t.Fatal(err)
			}
			list = append(list, e.Path+" = "+string(b))
		}
	}
	return list
}

func read(t testing.TB, v *View, p string) string {
	t.Helper()
	b, err := v.Read(p)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestViewFollowsLinksInsideTheTree(t *testing.T) {
	v := newTree(t, "usr/bin/", "usr/bin/env = x", "bin -> usr/bin", "usr/up -> ../../../usr/bin", "abs -> /usr/bin/env", "loop -> loop", "dead -> nothing")
	for p, want := range map[string]string{
		"/bin/env": "usr/bin/env", "abs": "usr/bin/env", "usr/up/env": "usr/bin/env", "bin/../bin/./env": "usr/bin/env", "usr": "usr",
		"loop": "", "dead": "", "bin/env/x": "", "nowhere/..": "",
	} {
		e, ok := v.Stat(p)
		if ok != (want != "") || ok && e.Path != want {
			t.Errorf("Stat(%q) = %q, %t, want %q", p, e.Path, ok, want)
		}
	}
}

func TestViewLayersResults(t *testing.T) {
	v := newTree(t, "a-b = 1", "a/x = 1", "a/y = 2", "a/z/deep = 3", "b = 4", "c/only = 5")
	top := tree(t, v.objects, "a/new = n", "b = 44")
	top = append(top, pkg.Entry{Path: "a/y", Kind: pkg.Char}, pkg.Entry{Path: "a/z", Kind: pkg.Char},
		pkg.Entry{Path: "c", Kind: pkg.Symlink, Mode: 0o777, Target: "a"}, pkg.Entry{Path: "never", Kind: pkg.Char})
	slices.SortFunc(top, func(a, b pkg.Entry) int { return strings.Compare(a.Path, b.Path) })
	v.Apply(top)
	want := []string{"a-b = 1", "a/new = n", "a/x = 1", "b = 44", "c -> a"}
	if got := show(t, v, ""); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if names := v.Names("c"); !slices.Equal(names, []string{"new", "x"}) {
		t.Errorf("names through the link: %q", names)
	}
	entries, removed := v.Result()
	if len(entries) != 3 || !slices.Equal(removed, []string{"a/y", "a/z"}) {
		t.Errorf("result %v, removed %q", entries, removed)
	}
	// A later result may put something back.
	v.Apply(tree(t, v.objects, "a/y = again"))
	if got := read(t, v, "a/y"); got != "again" {
		t.Errorf("a/y is %q", got)
	}
	if v.Has("a/z/deep") {
		t.Error("what a whiteout hides is seen")
	}
}

func TestResultLeavesOutWhatIsEqual(t *testing.T) {
	v := newTree(t, "d/", "d/same = 1", "d/other = 2")
	v.Apply(tree(t, v.objects, "d/", "d/same = 1", "d/other = 3"))
	entries, removed := v.Result()
	if len(entries) != 1 || entries[0].Path != "d/other" || len(removed) != 0 {
		t.Errorf("result %v, %v", entries, removed)
	}
}
