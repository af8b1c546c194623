package contexts

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"ninefold/roots/recipe"
	"ninefold/tests/needs"
)

const (
	machinePasswd = "root:x:0:0::/root:/bin/bash\nold:x:100:100::/:/bin/sh\n"
	machineGroup  = "root:x:0:\nold:x:100:\naudio:x:29:\n"
)

func committed(t *testing.T, host, layer map[string]string, more func(upper string)) (*Commit, map[string]*tar.Header, error) {
	t.Helper()
	needs.Root(t)
	root, s := t.TempDir(), On(t.TempDir())
	r := create(t, s, 0, "foo")
	dir := filepath.Join(s.LayerDir(r, r.Layer), "upper")
	put(t, root, host)
	put(t, dir, layer)
	if more != nil {
		more(dir)
	}
	var first, second bytes.Buffer
	c, err := s.Commit(ctx(), r, root, &first)
	if err != nil {
		return nil, nil, err
	}
	if again, err := s.Commit(ctx(), r, root, &second); err != nil || again.SHA256 != c.SHA256 || !bytes.Equal(first.Bytes(), second.Bytes()) {
		t.Errorf("a second commit is another one: %v", err)
	}
	name := filepath.Join(t.TempDir(), "archive")
	if err := os.WriteFile(name, first.Bytes(), 0o600); err != nil || !IsCommitted(name) {
		t.Errorf("the archive has no mark: %v", err)
	}
	if IsCommitted(os.DevNull) || IsCommitted("commit_test.go") {
		t.Error("anything has the mark")
	}
	entries := map[string]*tar.Header{}
	for in := tar.NewReader(&first); ; {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if h.Typeflag != tar.TypeXGlobalHeader {
			entries[h.Name] = h
		}
	}
	return c, entries, nil
}

func TestCommitSaysAllThatALayerChanges(t *testing.T) {
	c, files, err := committed(t, map[string]string{
		"etc/passwd": machinePasswd, "etc/group": machineGroup, "etc/shadow": "root:*:1::::::\n",
		"etc/gone": "x", "etc/it's \"here\"": "x", "srv/gone": "x", "etc/same": "same", "etc/whole/old": "x", "etc/whole/in/old": "x", "etc/whole/both": "x",
	}, map[string]string{
		"etc/passwd": machinePasswd + "new:x:101:101:a \"name\":/srv:/bin/false\nperson:x:1001:1001::/home/person:/bin/sh\n",
		"etc/group":  machineGroup[:len(machineGroup)-1] + "new\nnew:x:101:\nperson:x:1001:\n", "etc/shadow": "root:secret:1::::::\nnew:!:1::::::\n",
		"etc/gone": "-", "etc/it's \"here\"": "-", "srv/gone": "-", "etc/same": "same", "etc/whole/in/": "", "etc/whole/both": "y", "usr/bin/prog": "prog",
		"etc/link": "> /usr/bin/prog", "home/me/file": "x", "var/lib/dpkg/status": "", "var/cache/x": "x", "usr/share/mime/packages/a.xml": "a", "usr/share/mime/mime.cache": "c",
	}, func(dir string) {
		for _, err := range []error{
			unix.Setxattr(filepath.Join(dir, "etc/whole"), opaque, []byte("y"), 0),
			unix.Setxattr(filepath.Join(dir, "usr/bin/prog"), "user.note", []byte("n\x00"), 0),
			os.Link(filepath.Join(dir, "usr/bin/prog"), filepath.Join(dir, "usr/bin/other")),
			os.Chmod(filepath.Join(dir, "usr/bin/prog"), 0o755|os.ModeSetuid), os.Chown(filepath.Join(dir, "usr/share/mime/packages/a.xml"), 7, 8),
		} {
			if err != nil {
				t.Fatal(err)
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for name := range files {
		names = append(names, name)
	}
	slices.Sort(names)
	want := []string{"etc/", "etc/link", "etc/whole/", "etc/whole/both", "etc/whole/in/", "srv/", "usr/", "usr/bin/", "usr/bin/other", "usr/bin/prog",
		"usr/share/", "usr/share/mime/", "usr/share/mime/packages/", "usr/share/mime/packages/a.xml", "var/", "var/lib/"}
	if !slices.Equal(names, want) {
		t.Errorf("in the archive are %q, want %q", names, want)
	}
	if h := files["usr/bin/other"]; h.Mode != 0o4755 || h.PAXRecords["SCHILY.xattr.user.note"] != "n\x00" || files["usr/bin/prog"].Linkname != "usr/bin/other" {
		t.Errorf("a file of two names: %+v, %+v", h, files["usr/bin/prog"])
	}
	if h := files["usr/share/mime/packages/a.xml"]; h.Uid != 7 || h.Gid != 8 {
		t.Errorf("owner: %+v", h)
	}
	if want := []string{"/etc/gone", `/etc/it's "here"`, "/etc/whole/in/old", "/etc/whole/old"}; !slices.Equal(c.Removed, want) {
		t.Errorf("removed are %q, want %q", c.Removed, want)
	}
	var left []string
	for _, l := range c.Left {
		left = append(left, l.Path+": "+l.Why)
	}
	for _, want := range []string{"/etc/passwd: the new line of person", "/etc/passwd: the new line of new", "/etc/group: the changed line of audio", "/etc/shadow: the changed line of root", "/srv/gone: ", "/home: ", "/var/cache: "} {
		if !slices.ContainsFunc(left, func(l string) bool { return strings.HasPrefix(l, want) }) {
			t.Errorf("left out lacks %q: %q", want, left)
		}
	}

	text := c.Recipe("image", "foo", "image.tar")
	r, err := recipe.Parse("image.toml", []byte(text))
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	if r.From != "host" || r.Source.SHA256 != c.SHA256 || len(r.Finish.Run) != 1 || !strings.Contains(r.Finish.Run[0], `'/etc/it'\''s "here"'`) {
		t.Errorf("recipe: %s", text)
	}
}

func TestCommitRefusesSocketsAndDevices(t *testing.T) {
	for _, mode := range []uint32{unix.S_IFSOCK, unix.S_IFBLK} {
		_, _, err := committed(t, nil, map[string]string{"srv/": ""}, func(dir string) {
			if err := unix.Mknod(filepath.Join(dir, "srv/special"), mode|0o600, int(unix.Mkdev(1, 1))); err != nil {
				t.Fatal(err)
			}
		})
		if !errors.Is(err, ErrNotCommittable) || !strings.Contains(err.Error(), "/srv/special") {
			t.Errorf("mode %o: %v", mode, err)
		}
	}
}
