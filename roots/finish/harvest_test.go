package finish

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"ninefold/roots/pkg"
	"ninefold/tests/needs"
)

// An upper directory as overlayfs leaves it, made by hand.
func TestHarvestReadsAnUpper(t *testing.T) {
	needs.Root(t)
	v := newTree(t, "keep/a = 1", "keep/gone = 2", "opaque/old = 3", "opaque/sub/", "opaque/sub/older = 3", "old/one = 4", "old/sub/two = 5", "chowned = 6", "touched/x = 7", "same = 8")
	up := t.TempDir()
	at := func(p string) string { return filepath.Join(up, p) }
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, d := range []string{"keep", "opaque", "new", "touched", "proc", "run"} {
		must(os.Mkdir(at(d), 0o755))
	}
	set := func(p, name, value string) { must(unix.Setxattr(at(p), "trusted.overlay."+name, []byte(value), 0)) }
	must(os.WriteFile(at("keep/b"), []byte("new"), 0o600))
	must(os.Symlink("b", at("keep/link")))
	must(os.Link(at("keep/b"), at("keep/hard")))
	must(unix.Mknod(at("keep/gone"), unix.S_IFCHR, 0))
	set("opaque", "opaque", "y")
	must(os.WriteFile(at("opaque/fresh"), nil, 0o644))
	// old was renamed to new, and one of its files removed after that.
	must(unix.Mknod(at("old"), unix.S_IFCHR, 0))
	set("new", "redirect", "/old")
	must(unix.Mknod(at("new/one"), unix.S_IFCHR, 0))
	must(os.WriteFile(at("chowned"), nil, 0o644))
	must(os.Truncate(at("chowned"), 1))
	must(os.Chown(at("chowned"), 5, 6))
	set("chowned", "metacopy", "")
	must(os.WriteFile(at("same"), []byte("8"), 0o644))
	must(os.Chtimes(at("same"), time.Unix(1000, 0), time.Unix(1000, 0)))

	got, err := harvest(context.Background(), up, v, v.objects, func(string) bool { return true })
	must(err)
	var list []string
	for _, e := range got {
		list = append(list, map[pkg.Kind]string{pkg.Dir: "d", pkg.File: "f", pkg.Symlink: "l", pkg.Char: "-"}[e.Kind]+" "+e.Path)
	}
	want := []string{"f chowned", "f keep/b", "- keep/gone", "f keep/hard", "l keep/link", "d new", "d new/sub", "f new/sub/two", "- old", "f opaque/fresh", "- opaque/old", "- opaque/sub"}
	// The tree implies new/sub: whether a directory is listed is not the point.
	list = slices.DeleteFunc(list, func(s string) bool { return s == "d new/sub" })
	want = slices.DeleteFunc(want, func(s string) bool { return s == "d new/sub" })
	if !slices.Equal(list, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(list, "\n"), strings.Join(want, "\n"))
	}
	v.Apply(got)
	if got := read(t, v, "new/sub/two") + read(t, v, "chowned") + read(t, v, "keep/hard"); got != "56new" {
		t.Errorf("content %q", got)
	}
	if e, _ := v.Lookup("chowned"); e.UID != 5 || e.GID != 6 {
		t.Errorf("chowned is %+v", e)
	}
	if v.Has("opaque/sub/older") || v.Has("old/one") || v.Has("new/one") {
		t.Error("what was removed is still there")
	}
	must(os.Remove(at("same")))
	must(unix.Mknod(at("same"), unix.S_IFCHR|0o600, int(unix.Mkdev(1, 3))))
	if _, err := harvest(context.Background(), up, v, v.objects, func(string) bool { return true }); err == nil {
		t.Error("a device was accepted")
	}
}

// What materialise writes, harvest reads back.
func TestMaterialiseAndHarvestAreInverse(t *testing.T) {
	needs.Root(t)
	v := newTree(t, "etc/", "etc/a = 1", "etc/b = 2")
	top := tree(t, v.objects, "etc/c = 3", "etc/l -> c", "var/x/y = 4", "var/x/z = 4")
	top[len(top)-1].Link = "var/x/y"
	top = append(top, pkg.Entry{Path: "etc/b", Kind: pkg.Char})
	for i := range top {
		if top[i].Path == "etc/c" {
			top[i].Mode, top[i].UID, top[i].Xattrs = 0o4755, 7, []pkg.Xattr{{Name: "user.note", Value: []byte("n")}}
		}
	}
	slices.SortFunc(top, func(a, b pkg.Entry) int { return strings.Compare(a.Path, b.Path) })
	shown := NewView(v.objects, v.base)
	shown.Apply(top)
	dir := t.TempDir()
	m := materialiser{root: dir, view: shown, dirs: map[string]bool{}}
	for i := range top {
		if err := m.put(&top[i]); err != nil {
			t.Fatal(err)
		}
	}
	if err := m.finish(); err != nil {
		t.Fatal(err)
	}
	got, err := harvest(context.Background(), dir, v, v.objects, func(string) bool { return true })
	if err != nil {
		t.Fatal(err)
	}
	got = slices.DeleteFunc(got, func(e pkg.Entry) bool { return e.Kind == pkg.Dir })
	top = slices.DeleteFunc(top, func(e pkg.Entry) bool { return e.Kind == pkg.Dir })
	if len(got) != len(top) {
		t.Fatalf("got %+v, want %+v", got, top)
	}
	for i := range got {
		if got[i].Path != top[i].Path || !IsWhiteout(&got[i]) && (!same(&got[i], &top[i]) || got[i].Link != top[i].Link) {
			t.Errorf("got %+v, want %+v", got[i], top[i])
		}
	}
	info, err := os.Stat(filepath.Join(dir, "etc"))
	if err != nil || info.ModTime().Unix() != 1000 {
		t.Errorf("the directory's time is %v, %v: caches that compare it would be stale", info.ModTime(), err)
	}
}
