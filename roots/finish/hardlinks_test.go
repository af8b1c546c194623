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

// links lists entries as "path" or "path = first name".
func links(entries []pkg.Entry) string {
	var list []string
	for _, e := range entries {
		switch {
		case e.Kind == pkg.Dir:
		case IsWhiteout(&e):
			list = append(list, "-"+e.Path)
		case e.Link != "":
			list = append(list, e.Path+" = "+e.Link)
		default:
			list = append(list, e.Path)
		}
	}
	return strings.Join(list, ", ")
}

func TestHarvestKeepsHardLinks(t *testing.T) {
	needs.Root(t)
	v := newTree(t, "lower/one = 1", "lower/two = 2", "old/x = 3", "old/y = 3", "old/z = 3", "pair/a = 4", "pair/b = 4")
	for i := range v.base {
		switch e := &v.base[i]; e.Path {
		case "old/y":
			e.Link = "old/x"
		case "pair/b":
			e.Link = "pair/a"
		}
	}
	up := t.TempDir()
	at := func(p string) string { return filepath.Join(up, p) }
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	write := func(p, text string) {
		t.Helper()
		must(os.MkdirAll(filepath.Dir(at(p)), 0o755))
		must(os.WriteFile(at(p), []byte(text), 0o644))
		must(os.Chtimes(at(p), time.Unix(1000, 0), time.Unix(1000, 0)))
	}
	link := func(from, to string) { t.Helper(); must(os.Link(at(from), at(to))) }
	// Three names, the bytewise first of which was made last, and one that does not count.
	write("new/m", "five")
	must(os.Mkdir(at("tmp"), 0o755))
	link("new/m", "new/z")
	link("new/m", "new/a")
	link("new/m", "tmp/gone")
	// One name of a new file, the other where it does not count: an ordinary file.
	write("new/single", "six")
	link("new/single", "tmp/single")
	// A further name for a file that is there, as overlayfs leaves it: copied up
	// whole, and its metadata alone.
	write("lower/one", "1")
	link("lower/one", "lower/zero")
	must(os.WriteFile(at("lower/two"), nil, 0o644))
	must(os.Chtimes(at("lower/two"), time.Unix(1000, 0), time.Unix(1000, 0)))
	must(unix.Setxattr(at("lower/two"), "trusted.overlay.metacopy", nil, 0))
	must(unix.Setxattr(at("lower/two"), "trusted.overlay.redirect", []byte("/lower/two"), 0))
	link("lower/two", "lower/again")
	// A renamed directory, in which one of three equal files is not a link.
	must(os.Mkdir(at("moved"), 0o755))
	must(unix.Mknod(at("old"), unix.S_IFCHR, 0))
	must(unix.Setxattr(at("moved"), "trusted.overlay.redirect", []byte("/old"), 0))
	// A pair that is a pair already.
	write("pair/a", "4")
	link("pair/a", "pair/b")

	got, err := harvest(context.Background(), up, v, v.objects, func(string) bool { return true })
	must(err)
	want := "lower/again, lower/one, lower/two = lower/again, lower/zero = lower/one, moved/x, moved/y = moved/x, moved/z, " +
		"new/a, new/m = new/a, new/single, new/z = new/a, -old"
	if links(got) != want {
		t.Errorf("got  %s\nwant %s", links(got), want)
	}
	p := &pkg.Package{Name: "finish-run", Version: "1", Arch: "all", Entries: slices.DeleteFunc(slices.Clone(got), func(e pkg.Entry) bool { return IsWhiteout(&e) })}
	if err := p.Validate(); err != nil {
		t.Error(err)
	}
	v.Apply(got)
	entries, _ := v.Result()
	if got, want := links(entries), strings.TrimSuffix(want, ", -old"); got != want {
		t.Errorf("the image gets\n%s\nwant\n%s", got, want)
	}
}

// A later step may take names away from a file, the first one too.
func TestHardLinksOutliveTheirFirstName(t *testing.T) {
	v := newTree(t, "etc/same = 1")
	set := func(texts ...string) {
		t.Helper()
		e := tree(t, v.objects, texts...)
		first := ""
		for i := range e {
			if e[i].Kind == pkg.File && strings.Contains(e[i].Path, "link") {
				if first == "" {
					first = e[i].Path
				} else {
					e[i].Link = first
				}
			}
		}
		v.Apply(e)
	}
	set("a/link1 = x", "b/link2 = x", "c/link3 = x")
	v.Apply([]pkg.Entry{{Path: "a", Kind: pkg.Char}})
	if got, _ := v.Result(); links(got) != "b/link2, c/link3 = b/link2" {
		t.Errorf("without its directory: %s", links(got))
	}
	set("a/link1 = y", "b/link2 = y")
	if got, _ := v.Result(); links(got) != "a/link1, b/link2 = a/link1, c/link3" {
		t.Errorf("with another file in place of two names: %s", links(got))
	}
	// What a step made a link of is listed although it is as it was.
	set("etc/link = 1", "etc/same = 1")
	over := slices.Clone(v.over)
	i := slices.IndexFunc(over, func(e pkg.Entry) bool { return e.Path == "etc/same" })
	over[i].Link = "etc/link"
	v.Apply(over)
	if got, _ := v.Result(); !strings.Contains(links(got), "etc/link, etc/same = etc/link") {
		t.Errorf("a new name for what is there: %s", links(got))
	}
}
