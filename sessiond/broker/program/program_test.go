package program

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ninefold/tests/needs"
)

// ours makes a directory that is root's alone; "/tmp" is not.
func ours(t *testing.T) string {
	t.Helper()
	needs.Root(t)
	dir, err := os.MkdirTemp("/var/lib", "ninefold-program-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

func write(t *testing.T, name, text string, mode os.FileMode) string {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(name, mode); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestProgramsOfTheHost(t *testing.T) {
	ours(t)
	p, err := Find("sh")
	if err != nil || p.Path != "/usr/bin/sh" || p.Name != "sh" || p.File == p.Path {
		t.Errorf("%+v %v", p, err)
	}
	for _, name := range []string{"/bin/sh", "/usr//bin/./sh", "/usr/lib/../bin/sh"} {
		if q, err := Find(name); err != nil || q.Path != "/usr/bin/sh" {
			t.Errorf("%s: %+v %v", name, q, err)
		}
	}
	for _, name := range []string{"", "no-such-program", "/no/such", "/etc/passwd/x", "bin/sh", "./sh", "../bin/sh", strings.Repeat("x", 5000), "/usr/bin/" + strings.Repeat("x", 300)} {
		if _, err := Find(name); !errors.Is(err, ErrNotFound) {
			t.Errorf("%.40q: got %v", name, err)
		}
	}
	for _, name := range []string{"/etc", "/etc/passwd", "/dev/null", "/"} {
		if _, err := Find(name); err == nil {
			t.Errorf("%s is a program", name)
		}
	}
	if path := SearchPath(); !strings.Contains(path, "/usr/bin") || strings.Count(path, "/sbin") > 2 {
		t.Errorf("the search path is %s", path)
	}
}

func TestWhatOthersCanChange(t *testing.T) {
	dir := ours(t)
	at := func(elements ...string) string { return filepath.Join(append([]string{dir}, elements...)...) }
	mkdir := func(name string, mode os.FileMode, uid int) string {
		t.Helper()
		if err := errors.Join(os.Mkdir(name, 0o755), os.Chmod(name, mode), os.Chown(name, uid, 0)); err != nil {
			t.Fatal(err)
		}
		return name
	}
	link := func(to, name string) string {
		t.Helper()
		if err := os.Symlink(to, name); err != nil {
			t.Fatal(err)
		}
		return name
	}
	const script = "#!/bin/sh\n"
	good := write(t, at("good"), script, 0o755)
	mkdir(at("theirs"), 0o755, 1000)
	mkdir(at("open"), 0o777, 0)
	os.Chmod(at("open"), os.ModeSticky|0o777)
	mkdir(at("group"), 0o775, 0)
	writable := write(t, at("writable"), script, 0o757)
	owned := write(t, at("owned"), script, 0o755)
	os.Chown(owned, 1000, 0)
	for name, file := range map[string]string{
		"in another's directory":            write(t, at("theirs", "x"), script, 0o755),
		"in a directory that is open":       write(t, at("open", "x"), script, 0o755),
		"in a directory open to a group":    write(t, at("group", "x"), script, 0o755),
		"that others may write":             writable,
		"of another":                        owned,
		"a link to another's":               link(owned, at("to-owned")),
		"a link of another's":               link(good, at("theirs", "link")),
		"a link through their directory":    link(at("theirs", "link"), at("through")),
		"back out of their directory":       dir + "/theirs/../good",
		"a script of another's interpreter": write(t, at("script"), "#!"+owned+"\n", 0o755),
	} {
		if _, err := Find(file); !errors.Is(err, ErrNotRoots) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	for name, file := range map[string]string{
		"without a first line":      write(t, at("plain"), "echo hello\n", 0o755),
		"empty":                     write(t, at("empty"), "", 0o755),
		"no interpreter":            write(t, at("bare"), "#!\n", 0o755),
		"a relative interpreter":    write(t, at("relative"), "#!sh\n", 0o755),
		"a loop of interpreters":    write(t, at("loop"), "#!"+at("loop")+"\n", 0o755),
		"nobody may execute":        write(t, at("data"), script, 0o644),
		"a damaged program":         write(t, at("elf"), "\x7fELF\x02\x01\x01"+strings.Repeat("\xff", 80), 0o755),
		"a program that is cut off": write(t, at("short"), "\x7fELF", 0o755),
	} {
		if _, err := Find(file); !errors.Is(err, ErrNotExecutable) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	link(at("b"), at("a"))
	link(at("a"), at("b"))
	if _, err := Find(at("a")); !errors.Is(err, ErrNotFound) {
		t.Errorf("links in a circle: %v", err)
	}
	// Names count: a link at the end stays, one on the way does not.
	link(good, at("alias"))
	link(dir, at("here"))
	if p, err := Find(at("here", "alias")); err != nil || p.Path != at("alias") || p.File != good || p.Name != "alias" {
		t.Errorf("%+v %v", p, err)
	}
	if Fixed(at("open")) || !Fixed(dir) || Fixed(at("theirs")) {
		t.Error("who can change a directory")
	}
}

func TestWhoMayExecute(t *testing.T) {
	dir := ours(t)
	p, err := Find(write(t, filepath.Join(dir, "x"), "#!/bin/sh\n", 0o750))
	if err != nil {
		t.Fatal(err)
	}
	if err := p.May(0, nil); err != nil {
		t.Error(err)
	}
	if err := p.May(1000, []uint32{1000}); !errors.Is(err, ErrNotExecutable) {
		t.Errorf("closed to others: %v", err)
	}
	if err := p.May(1000, []uint32{0}); err != nil {
		t.Errorf("open to the group: %v", err)
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if p, err = Find(write(t, filepath.Join(dir, "y"), "#!/bin/sh\n", 0o755)); err != nil {
		t.Fatal(err)
	}
	if err := p.May(1000, []uint32{1000}); !errors.Is(err, ErrNotExecutable) {
		t.Errorf("in a closed directory: %v", err)
	}
}

func FuzzInterpreter(f *testing.F) {
	f.Add([]byte("#!/bin/sh -e\n"))
	f.Add([]byte("\x7fELF\x02\x01\x01"))
	if b, err := os.ReadFile("/bin/true"); err == nil {
		f.Add(b[:min(len(b), 4096)])
	}
	name := filepath.Join(f.TempDir(), "x")
	f.Fuzz(func(t *testing.T, b []byte) {
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if i, err := interpreterOf(name); err == nil && i != "" && !filepath.IsAbs(i) {
			t.Errorf("%q", i)
		}
	})
}
