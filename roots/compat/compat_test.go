package compat

import (
	"bytes"
	"crypto/sha256"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"ninefold/roots/pkg"
	"ninefold/tests/needs"
)

// files are objects in memory, kept on disk for *os.File.
type files struct{ dir string }

func (f files) put(t *testing.T, content []byte) pkg.Digest {
	t.Helper()
	d := pkg.Digest(sha256.Sum256(content))
	if err := os.WriteFile(filepath.Join(f.dir, d.String()), content, 0o600); err != nil {
		t.Fatal(err)
	}
	return d
}

func (f files) Object(d pkg.Digest) (*os.File, error) {
	return os.Open(filepath.Join(f.dir, d.String()))
}

// compile makes a shared object with the C compiler of the machine; the tests
// need real ELF files with symbol versions.
func compile(t *testing.T, dir, name, source, script string, args ...string) []byte {
	t.Helper()
	src := filepath.Join(dir, name+".c")
	write(t, src, source)
	out := filepath.Join(dir, name)
	if script != "" {
		write(t, src+".map", script)
		args = append(args, "-Wl,--version-script="+src+".map")
	}
	args = append([]string{"-nostdlib", "-fPIC", "-o", out, src}, args...)
	needs.Programs(t, "cc")
	cmd := exec.Command("cc", args...)
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("cc: %v\n%s", err, text)
	}
	b, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func write(t *testing.T, name, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

type made struct {
	objects   files
	old, new  []byte // libbase.so.1 of an old and of a new base
	runtime   *pkg.Package
	baseTrees map[string][]pkg.Entry
}

func file(f files, t *testing.T, name string, mode uint32, content []byte) pkg.Entry {
	return pkg.Entry{Path: name, Kind: pkg.File, Mode: mode, Size: int64(len(content)), Digest: f.put(t, content)}
}

// build makes a library in an old and a new version, and a package with a
// program, a public and a private library, and a script, that needs the new.
func build(t *testing.T) made {
	t.Helper()
	dir := t.TempDir()
	m := made{objects: files{t.TempDir()}, baseTrees: map[string][]pkg.Entry{}}
	m.old = compile(t, dir, "libbase.so.1", "int one(void){return 1;}", "BASE_1 { one; };", "-shared", "-Wl,-soname,libbase.so.1")
	oldDir := t.TempDir()
	write(t, filepath.Join(oldDir, "usr/lib/libbase.so.1.0"), string(m.old))
	m.new = compile(t, dir, "libbase.so.1", "int one(void){return 1;} int two(void){return 2;}", "BASE_1 { one; }; BASE_2 { two; } BASE_1;", "-shared", "-Wl,-soname,libbase.so.1")
	compile(t, dir, "libpub.so.3", "int pub(void){return 3;}", "", "-shared", "-Wl,-soname,libpub.so.3")
	pub, _ := os.ReadFile(filepath.Join(dir, "libpub.so.3"))
	priv := compile(t, dir, "libpriv.so", "int priv(void){return 4;}", "", "-shared", "-Wl,-soname,libpriv.so")
	prog := compile(t, dir, "prog", "int one(void),two(void),pub(void),priv(void); int f(void){return one()+two()+pub()+priv();}", "",
		"-shared", "-L"+dir, "-l:libbase.so.1", "-l:libpub.so.3", "-l:libpriv.so", "-Wl,-rpath,$ORIGIN/../lib/prog")
	m.runtime = &pkg.Package{Name: "prog", Version: "1", Arch: "all", Entries: []pkg.Entry{
		file(m.objects, t, "usr/bin/prog", 0o755, prog),
		file(m.objects, t, "usr/bin/script", 0o755, []byte("#! /usr/bin/odd -x\n")),
		file(m.objects, t, "usr/lib/libpub.so.3.1", 0o644, pub),
		file(m.objects, t, "usr/lib/prog/libpriv.so", 0o644, priv),
		file(m.objects, t, "usr/share/data.so.txt", 0o644, []byte("not ELF")),
	}}
	for name, lib := range map[string][]byte{"old": m.old, "new": m.new} {
		m.baseTrees[name] = []pkg.Entry{
			{Path: "lib", Kind: pkg.Symlink, Target: "usr/lib"},
			file(m.objects, t, "usr/bin/odd", 0o755, []byte("x")),
			{Path: "usr/lib/libbase.so.1", Kind: pkg.Symlink, Target: "../../lib/libbase.so.1.0"},
			file(m.objects, t, "usr/lib/libbase.so.1.0", 0o644, lib),
		}
	}
	return m
}

func TestCheckOnImages(t *testing.T) {
	m := build(t)
	facts, err := FactsOf(m.runtime, m.objects)
	if err != nil {
		t.Fatal(err)
	}
	text, err := facts.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if facts, err = DecodeFacts(text); err != nil {
		t.Fatal(err)
	}
	own := []Own{{m.runtime, facts}}
	check := func(base []pkg.Entry) []string {
		t.Helper()
		tree, err := NewTree(base, m.objects)
		if err != nil {
			t.Fatal(err)
		}
		missing, err := Check(own, tree)
		if err != nil {
			t.Fatal(err)
		}
		var out []string
		for _, x := range missing {
			out = append(out, x.String())
		}
		return out
	}
	if got := check(m.baseTrees["new"]); len(got) != 0 {
		t.Errorf("the new base is refused: %q", got)
	}
	got := check(m.baseTrees["old"])
	if want := []string{"BASE_2 of libbase.so.1, needed by package prog (/usr/bin/prog)"}; !slices.Equal(got, want) {
		t.Errorf("the old base: got %q, want %q", got, want)
	}
	got = check(nil)
	want := []string{"/usr/bin/odd, needed by package prog (/usr/bin/script)", "libbase.so.1, needed by package prog (/usr/bin/prog)"}
	if !slices.Equal(got, want) {
		t.Errorf("an empty base: got %q, want %q", got, want)
	}
}

func TestAPrivateLibraryOfAnotherProgramDoesNotServe(t *testing.T) {
	m := build(t)
	m.runtime.Entries[3].Path = "usr/lib/other/libpriv.so"
	facts, err := FactsOf(m.runtime, m.objects)
	if err != nil {
		t.Fatal(err)
	}
	tree, err := NewTree(m.baseTrees["new"], m.objects)
	if err != nil {
		t.Fatal(err)
	}
	missing, err := Check([]Own{{m.runtime, facts}}, tree)
	if err != nil || len(missing) != 1 || missing[0].Library != "libpriv.so" {
		t.Fatalf("got %v, %v; want libpriv.so alone", missing, err)
	}
}

func TestHostIsReadAsTheLinkerWould(t *testing.T) {
	m := build(t)
	root := t.TempDir()
	write(t, filepath.Join(root, "etc/ld.so.conf.d/x.conf"), "# odd place\n/opt/odd/lib\n")
	write(t, filepath.Join(root, "opt/odd/lib/libbase.so.1"), string(m.new))
	write(t, filepath.Join(root, "usr/lib/x86_64-linux-gnu/libbase.so.1"), string(m.old))
	h, err := NewHost(root)
	if err != nil {
		t.Fatal(err)
	}
	b, err := readELF(bytes.NewReader(m.new))
	if err != nil {
		t.Fatal(err)
	}
	v, found, err := h.Library("libbase.so.1", b.abi)
	if err != nil || !found || !slices.Contains(v, "BASE_2") {
		t.Errorf("configured directory: %v %v %v", v, found, err)
	}
	if _, found, err = h.Library("libbase.so.1", "vax/32"); found || err != nil {
		t.Errorf("a library of another machine serves: %v %v", found, err)
	}
	if _, found, err = h.Library("../../etc/ld.so.conf", b.abi); found || err != nil {
		t.Errorf("a soname with a slash: %v %v", found, err)
	}
}

func TestFingerprintNamesInstalledPackages(t *testing.T) {
	root := t.TempDir()
	status := filepath.Join(root, "var/lib/dpkg/status")
	a := "Package: a\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1\n"
	b := "Package: b\nStatus: install ok installed\nArchitecture: all\nVersion: 2\nDescription: x\n more\n"
	gone := "Package: c\nStatus: deinstall ok config-files\nArchitecture: all\nVersion: 3\n"
	print := func(text string) string {
		t.Helper()
		write(t, status, text)
		s, err := Fingerprint(root)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	one := print(a + "\n" + b)
	if print(b+"\n"+a+"\n"+gone) != one {
		t.Error("order, or a removed package, changes the fingerprint")
	}
	if print(a+"\n"+strings.Replace(b, "Version: 2", "Version: 2.1", 1)) == one {
		t.Error("an upgrade does not change the fingerprint")
	}
	before := Stamp(root)
	write(t, status+".new", a)
	if err := os.Rename(status+".new", status); err != nil {
		t.Fatal(err)
	}
	if Stamp(root) == before {
		t.Error("a rewritten dpkg status does not change the stamp")
	}
}

func FuzzReadELF(f *testing.F) {
	if b, err := os.ReadFile("/bin/true"); err == nil {
		f.Add(b)
	}
	f.Add([]byte("\x7fELF\x02\x01\x01"))
	f.Add([]byte("#!/bin/sh\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r := bytes.NewReader(b)
		if in := interpreter(r); strings.HasPrefix(in, "/") || strings.Contains(in, "..") && filepath.Clean("/"+in) != "/"+in {
			t.Fatalf("interpreter %q", in)
		}
		got, err := readELF(r)
		if err != nil {
			return
		}
		for _, d := range got.searchDirs("usr/bin/x") {
			if strings.HasPrefix(d, "/") || strings.HasPrefix(d, "../") {
				t.Fatalf("search directory %q leaves the root", d)
			}
		}
	})
}
