package build

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ninefold/roots/image"
	"ninefold/tests/needs"
)

// machineRoot is a small machine: the files of the shell package, a linker
// configuration and a package database.
func machineRoot(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	put := func(p, text string, mode os.FileMode) {
		t.Helper()
		at := filepath.Join(root, p)
		if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(at, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
	}
	for _, f := range shell(t).Files {
		put(f.Path, f.Text, 0o755)
	}
	for _, link := range []string{"bin", "lib", "lib64"} {
		if err := os.Symlink("usr/"+link, filepath.Join(root, link)); err != nil {
			t.Fatal(err)
		}
	}
	put("etc/ld.so.conf", "/usr/lib/x86_64-linux-gnu\n", 0o644)
	put("etc/passwd", "root:x:0:0:root:/root:/bin/sh\n", 0o644)
	put("etc/group", "root:x:0:\n", 0o644)
	put("usr/share/base-passwd/passwd.master", "root::0:0:root:/root:/bin/sh\n", 0o644)
	put("var/lib/dpkg/status", "Package: dash\nStatus: install ok installed\nVersion: 1\nArchitecture: all\n\n", 0o644)
	for _, d := range []string{"proc", "dev", "run", "tmp", "sys"} {
		if err := os.Mkdir(filepath.Join(root, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// An image on the machine is finished over the machine's own files and takes
// nothing of them along.
func TestImageOnTheMachine(t *testing.T) {
	w := newWorld(t)
	if _, err := os.Stat("/var/lib/dpkg/status"); err != nil {
		needs.Lacks(t, err.Error())
	}
	tree := t.TempDir()
	own := filepath.Join(tree, "usr/lib/x86_64-linux-gnu/libo.so.6")
	if err := os.MkdirAll(filepath.Dir(own), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, f := range shell(t).Files {
		if strings.Contains(f.Path, "libc.so") {
			// The C library under another soname.
			if err := os.WriteFile(own, []byte(strings.ReplaceAll(f.Text, "libc.so.6", "libo.so.6")), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	w.recipe("extra", "from = \"host\"\n[source]\ndirectory = \""+tree+"\"\n[finish]\nrun = [\"echo $(read l < /etc/passwd; echo $l) > /etc/extra\"]\n")
	c := w.config(t.TempDir(), t.TempDir())
	c.Root = machineRoot(t)
	r := w.build(c, "extra", Options{})
	m, err := c.Store.Image(r.ID)
	if err != nil || m.Host == "" || len(m.Removed) > 0 {
		t.Fatalf("manifest %+v, %v", m, err)
	}
	p, err := c.Store.Package(m.Finishing)
	if err != nil {
		t.Fatal(err)
	}
	content := map[string]string{}
	for i := range p.Entries {
		e := &p.Entries[i]
		if e.Digest.IsZero() {
			continue
		}
		b, err := os.ReadFile(filepath.Join(c.Store.ObjectsDir(), e.Digest.String()[:2], e.Digest.String()[2:]))
		if err != nil {
			t.Fatal(err)
		}
		content[e.Path] = string(b)
	}
	if got := content["etc/extra"]; got != "root:x:0:0:root:/root:/bin/sh\n" {
		t.Errorf("the command saw %q", got)
	}
	if cache := content["etc/ld.so.cache"]; !strings.Contains(cache, "libo.so.6") || !strings.Contains(cache, "libc.so.6") {
		t.Error("the linker's cache lacks the machine's libraries or the image's")
	}
	for _, p := range []string{"etc/passwd", "etc/shadow", "var/lib/dpkg/status"} {
		if _, ok := content[p]; ok {
			t.Errorf("/%s of the machine is in the image", p)
		}
	}
	if again := w.build(c, "extra", Options{}); !again.Images[0].Unchanged {
		t.Error("the image was built again")
	}
	// Another set of packages on the machine makes another image.
	status := filepath.Join(c.Root, "var/lib/dpkg/status")
	if err := os.WriteFile(status, []byte("Package: dash\nStatus: install ok installed\nVersion: 2\nArchitecture: all\n\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if later := w.build(c, "extra", Options{}); later.ID == (image.ID{}) || later.ID == r.ID {
		t.Error("the image is the same on another machine")
	}
}
