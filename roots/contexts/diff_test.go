package contexts

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"ninefold/tests/needs"
)

func ctx() context.Context { return context.Background() }

// put writes files below dir: a name that ends in a slash is a directory, "-" as
// text removes what is below, "> x" is a link to x.
func put(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	names := make([]string, 0, len(files))
	for name := range files {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		text, at := files[name], filepath.Join(dir, name)
		err := os.MkdirAll(filepath.Dir(at), 0o755)
		switch {
		case err != nil:
		case name[len(name)-1] == '/':
			err = os.MkdirAll(at, 0o755)
		case text == "-":
			err = unix.Mknod(at, unix.S_IFCHR, 0)
		case len(text) > 2 && text[:2] == "> ":
			err = os.Symlink(text[2:], at)
		default:
			err = os.WriteFile(at, []byte(text), 0o644)
		}
		if err == nil && text != "-" && (len(text) < 2 || text[:2] != "> ") {
			err = os.Chtimes(at, now, now)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestDiffTellsWhatALayerChanges(t *testing.T) {
	needs.Root(t)
	host, s := t.TempDir(), On(t.TempDir())
	r := create(t, s, 0, "foo")
	const status = "Package: %s\nStatus: install ok installed\nArchitecture: amd64\nVersion: %s\n\n"
	below := fmt.Sprintf(status, "kept", "1") + fmt.Sprintf(status, "gone", "1") + fmt.Sprintf(status, "up", "1") + fmt.Sprintf(status, "lib", "1")
	put(t, host, map[string]string{
		"etc/same": "same", "etc/edited": "old", "etc/removed": "x", "etc/mode": "m", "etc/link": "> a", "dir/a": "1", "sub/deep/file": "1",
		"usr/": "", "var/lib/dpkg/status": below, "var/lib/apt/extended_states": "Package: lib\nArchitecture: amd64\nAuto-Installed: 1\n\n",
	})
	dir := s.LayerDir(r, r.Layer)
	put(t, dir, map[string]string{
		"upper/etc/same": "same", "upper/etc/edited": "new", "upper/etc/removed": "-", "upper/etc/mode": "m", "upper/etc/link": "> b",
		"upper/dir/b": "2", "upper/made/": "", "upper/made/x": "1", "upper/usr/bin/tool": "t", "upper/etc/policy": "ours",
		"upper/var/cache/apt/x": "1", "work/x": "not told", "heard/x": "not told",
		// /var/lib is a file system of its own on this host.
		"@var%2Flib/upper/dpkg/status":         fmt.Sprintf(status, "kept", "1") + fmt.Sprintf(status, "up", "2") + fmt.Sprintf(status, "lib", "1") + fmt.Sprintf(status, "tool", "3"),
		"@var%2Flib/upper/apt/extended_states": "Package: tool\nArchitecture: amd64\nAuto-Installed: 1\n\n",
		"@var%2Flib/upper/dpkg/info/tool.list": "/.\n/usr\n/bin/tool\n",
	})
	if err := os.Chmod(filepath.Join(dir, "upper/etc/mode"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := unix.Setxattr(filepath.Join(dir, "upper/dir"), opaque, []byte("y"), 0); err != nil {
		t.Fatal(err)
	}
	d, err := s.Compare(ctx(), r, host, map[string]string{"/etc/policy": "ours"}, false)
	if err != nil {
		t.Fatal(err)
	}
	if want := []PackageChange{
		{Name: "gone", Arch: "amd64", Change: "removed", From: "1"}, {Name: "lib", Arch: "amd64", Change: "manual", From: "1", To: "1"},
		{Name: "tool", Arch: "amd64", Change: "added", To: "3", Auto: true}, {Name: "up", Arch: "amd64", Change: "upgraded", From: "1", To: "2"},
	}; !slices.Equal(d.Packages, want) {
		t.Errorf("packages\n%+v\nwant\n%+v", d.Packages, want)
	}
	var got []string
	for _, f := range d.Files {
		got = append(got, f.Change+" "+f.Kind+" "+f.Path)
	}
	want := []string{"replaced directory /dir", "added file /dir/b", "changed file /etc/edited", "changed link /etc/link", "attributes file /etc/mode",
		"removed file /etc/removed", "added directory /made", "added file /made/x", "added directory /usr/bin", "added directory /var/cache"}
	if !slices.Equal(got, want) {
		t.Errorf("files\n%q\nwant\n%q", got, want)
	}
	all, err := s.Compare(ctx(), r, host, nil, true)
	if err != nil || all.Hidden != 0 || len(all.Files) <= len(d.Files) {
		t.Errorf("all: %+v, %v", all, err)
	}
	for _, f := range all.Files {
		if f.Path == "/usr/bin/tool" && f.Package != "tool" {
			t.Errorf("%s is of package %q", f.Path, f.Package)
		}
	}
}
