package deb

import (
	"path"
	"strings"
	"testing"

	"ninefold/roots/pkg"
)

func TestCleanName(t *testing.T) {
	for name, want := range map[string]string{"./": "", ".": "", "./a/b": "a/b", "a/b/": "a/b", "./..a": "..a"} {
		if got, err := cleanName(name); err != nil || got != want {
			t.Errorf("cleanName(%q) = %q, %v; want %q", name, got, err, want)
		}
	}
}

// A link keeps its meaning when it moves into the merged /usr.
func TestRebase(t *testing.T) {
	for _, c := range []struct{ from, target, want string }{
		{"lib/a.so", "a.so.1", "a.so.1"},                   // beside it
		{"lib/x/a.so", "../a.so", "../a.so"},               // both move
		{"lib/a.so", "/etc/x", "/etc/x"},                   // absolute
		{"bin/a", "../usr/share/a", "../share/a"},          // up to the root and down again
		{"lib/systemd/a", "../../etc/a", "../../../etc/a"}, // out of /usr
		{"lib/a", "../../../etc/a", "../../../etc/a"},      // above the root
		{"bin/a", "../sbin/b", "../sbin/b"},                // between merged directories
		{"lib/a", "../usr/lib/b", "b"},                     // what was two places is one
		{"lib/modules", "../usr/lib", "."},                 // the directory it is in
	} {
		to := merged(c.from)
		if got := rebase(c.from, to, c.target); got != c.want {
			t.Errorf("rebase(%s, %s) = %q, want %q", c.from, c.target, got, c.want)
		}
	}
	if got := rebase("etc/a", "etc/a", "../../x"); got != "../../x" {
		t.Errorf("a link that does not move was rewritten to %q", got)
	}
}

func TestMergedLinks(t *testing.T) {
	// A compatibility link to the other place becomes the file itself, and the
	// links of the merge are left to the layout.
	for name, members := range map[string][]member{
		"link first": {sym("./bin/tool", "/usr/bin/tool"), reg("./usr/bin/tool", "x")},
		"file first": {reg("./bin/tool", "x"), sym("./usr/bin/tool", "../../bin/tool")},
		"with /bin":  {sym("./bin", "usr/bin"), sym("./lib64", "/usr/lib64"), reg("./usr/bin/tool", "x")},
		"hard link":  {reg("./bin/tool", "x"), hard("./usr/bin/tool", "./bin/tool")},
	} {
		p, _ := mustConvert(t, members, Options{})
		if got, want := listing(p), "f 0644 0:0 usr/bin/tool\n"; got != want {
			t.Errorf("%s: got %s", name, got)
		}
	}
}

func TestLayout(t *testing.T) {
	for _, arch := range []string{"amd64", "arm64", "all"} {
		p := Layout(arch)
		if err := p.Validate(); err != nil {
			t.Fatal(err)
		}
		for _, e := range p.Entries {
			if e.Kind == pkg.Symlink {
				if d := p.Entry(e.Target); d == nil || d.Kind != pkg.Dir {
					t.Errorf("%s: %s leads to %s, which is not there", arch, e.Path, e.Target)
				}
			}
		}
	}
	if p := Layout("amd64"); p.Entry("lib64") == nil || p.Entry("tmp").Mode != 0o1777 || p.Entry("root").Mode != 0o700 {
		t.Error("the amd64 layout lacks lib64, or /tmp and /root have the wrong mode")
	}
	if Layout("arm64").Entry("lib64") != nil {
		t.Error("the arm64 layout has lib64")
	}
}

func FuzzRebase(f *testing.F) {
	f.Add("lib/a/b", "../../x")
	f.Add("bin/a", "..//usr/./share/../x")
	f.Fuzz(func(t *testing.T, link, target string) {
		if pkg.CheckPath(link) != nil || target == "" || strings.HasPrefix(target, "/") || strings.IndexByte(target, 0) >= 0 {
			return
		}
		to := merged(link)
		got := rebase(link, to, target)
		if was, is := merged(lexical(link, target)), merged(lexical(to, got)); was != is {
			t.Fatalf("%s -> %s meant %s and is %s at %s with %s", link, target, was, is, to, got)
		}
		if path.IsAbs(got) {
			t.Fatalf("%s -> %s became absolute: %s", link, target, got)
		}
	})
}
