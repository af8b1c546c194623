package profile

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"ninefold/internal/tomlfile"
	"ninefold/namespaces/plan"
	"ninefold/sessiond/origin"
	"ninefold/tests/needs"
)

func write(t *testing.T, file, text string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestFind(t *testing.T) {
	etc, lib := t.TempDir(), t.TempDir()
	write(t, etc+"/dev.toml", "version = 1\nsummary = \"etc\"")
	write(t, lib+"/dev.toml", "version = 1\nsummary = \"lib\"")
	write(t, lib+"/other.toml", "version = 1")
	write(t, lib+"/broken.toml", "version = 1\nhom = 1")
	write(t, lib+"/README", "no profile")
	s := Load(etc, lib, lib+"/none")

	if p, err := s.Find("dev"); err != nil || p.Summary != "etc" || p.File != etc+"/dev.toml" {
		t.Errorf("got %+v, %v", p, err)
	}
	if p, err := s.Find("host"); err != nil || p.Base != HostBase || !p.Isolation.PID || p.Origin != 0 || p.File != "" {
		t.Errorf("built-in host is %+v, %v", p, err)
	}
	if _, err := s.Find("othr"); !errors.Is(err, ErrNotFound) || !strings.Contains(err.Error(), "did you mean other?") {
		t.Errorf("got %v", err)
	}
	if _, err := s.Find("../lib/dev"); !errors.Is(err, ErrNotFound) {
		t.Errorf("got %v", err)
	}
	if _, err := s.Find("broken"); !errors.Is(err, ErrInvalid) || len(Findings(err)) != 1 {
		t.Errorf("got %v", err)
	}
	var names []string
	for _, e := range s.List() {
		names = append(names, e.Name)
		if (e.Err != nil) != (e.Name == "broken") || (e.Profile == nil) != (e.Err != nil) || (e.File == "") != (e.Name == "host" || e.Name == "guest") {
			t.Errorf("%+v", e)
		}
	}
	if got := strings.Join(names, " "); got != "broken dev guest host other" {
		t.Errorf("listed %s", got)
	}
}

func TestAFileCanTakeThePlaceOfABuiltIn(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/host.toml", "version = 1\nhome = \"none\"")
	if p, err := Load(dir).Find("host"); err != nil || p.Home != "none" {
		t.Errorf("got %+v, %v", p, err)
	}
}

func TestNamespaceFile(t *testing.T) {
	dir := t.TempDir()
	file := write(t, dir+"/a.toml", "version = 1\nnamespace_file = \"a.ns\"")
	s := Load(dir)
	if _, err := s.Find("a"); !errors.Is(err, ErrInvalid) || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing: got %v", err)
	}
	for text, want := range map[string]string{
		"cd /":                      dir + "/a.ns:1:1: the first line of a namespace file",
		"ninefold 1\n\nbnd /a /b":   dir + "/a.ns:3:1: unknown verb bnd; did you mean bind?",
		"ninefold 1\nunmount /proc": file + ":2:1: ",
	} {
		write(t, dir+"/a.ns", text)
		if _, err := s.Find("a"); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q: got %v, want %s", text, err, want)
		}
	}
	write(t, dir+"/a.ns", "ninefold 1\nbind /srv $home/srv\n")
	p, err := s.Find("a")
	if err != nil {
		t.Fatal(err)
	}
	spec := plan.Spec{User: anybody}
	if err := p.Fill(&spec); err != nil {
		t.Fatal(err)
	}
	if want := (plan.Bind{Source: "/srv", Target: "/home/user/srv"}); len(spec.Lines) != 1 || spec.Lines[0].Op != want {
		t.Errorf("got %+v", spec.Lines)
	}
}

func TestOddFiles(t *testing.T) {
	dir := t.TempDir()
	s := Load(dir)
	write(t, dir+"/real", "version = 1")
	if err := os.Symlink("real", dir+"/link.toml"); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(dir+"/fifo.toml", 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(dir+"/dir.toml", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("loop", dir+"/loop"); err != nil {
		t.Fatal(err)
	}
	write(t, dir+"/large.toml", strings.Repeat("#", tomlfile.MaxSize+1))
	for name, want := range map[string]string{
		"link": "is a symbolic link", "fifo": "is not a regular file", "dir": "is not a regular file", "large": "too large",
	} {
		if _, err := s.Find(name); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", name, err, want)
		}
	}
	if _, err := LoadFile(dir + "/loop/x.toml"); !errors.Is(err, syscall.ELOOP) && !errors.Is(err, syscall.ENOTDIR) {
		t.Errorf("loop: got %v", err)
	}
}

func TestOrigin(t *testing.T) {
	needs.Root(t)
	const alice = 12345
	for _, tt := range []struct {
		name string
		edit func(t *testing.T, dir, file string) string // returns what to load
		want plan.Origin
	}{
		{"root's", func(*testing.T, string, string) string { return "" }, 0},
		{"the user's file", func(t *testing.T, _, file string) string { return chown(t, file, alice) }, alice},
		{"the user's directory", func(t *testing.T, dir, _ string) string { return chown(t, dir, alice) }, alice},
		{"a directory further up", func(t *testing.T, dir, _ string) string { return chown(t, filepath.Dir(dir), alice) }, alice},
		{"a file that all can write", func(t *testing.T, _, file string) string { return chmod(t, file, 0o666) }, origin.Somebody},
		{"a file that a group can write", func(t *testing.T, _, file string) string { return chmod(t, file, 0o664) }, origin.Somebody},
		{"a directory that all can write", func(t *testing.T, dir, _ string) string { return chmod(t, dir, 0o777) }, origin.Somebody},
		{"root's own file in a sticky directory", func(t *testing.T, dir, _ string) string { return chmod(t, dir, 0o777|os.ModeSticky) }, 0},
		{"a hard link in a sticky directory", func(t *testing.T, dir, file string) string {
			chmod(t, dir, 0o777|os.ModeSticky)
			if err := os.Link(file, filepath.Dir(dir)+"/other"); err != nil {
				t.Fatal(err)
			}
			return ""
		}, origin.Somebody},
		{"through root's link", func(t *testing.T, dir, _ string) string {
			if err := os.Symlink(dir, filepath.Dir(dir)+"/link"); err != nil {
				t.Fatal(err)
			}
			return filepath.Dir(dir) + "/link/a.toml"
		}, 0},
		{"through the user's link", func(t *testing.T, dir, _ string) string {
			link := filepath.Dir(dir) + "/link"
			if err := os.Symlink("./profiles/../profiles", link); err != nil {
				t.Fatal(err)
			}
			if err := os.Lchown(link, alice, alice); err != nil {
				t.Fatal(err)
			}
			return link + "/a.toml"
		}, alice},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir() + "/profiles"
			file := write(t, dir+"/a.toml", "version = 1")
			if other := tt.edit(t, dir, file); other != "" {
				file = other
			}
			p, err := LoadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if p.Origin != tt.want {
				t.Errorf("origin %d, want %d", p.Origin, tt.want)
			}
		})
	}
}

// A user's lines are held to a user's rights even in a profile of root's.
func TestLinesHaveTheOriginOfTheirFile(t *testing.T) {
	needs.Root(t)
	dir := t.TempDir()
	write(t, dir+"/a.toml", "version = 1\nnamespace_file = \"ns/a\"")
	chown(t, write(t, dir+"/ns/a", "ninefold 1\nbind /srv /n/srv\n"), 12345)
	p, err := LoadFile(dir + "/a.toml")
	if err != nil {
		t.Fatal(err)
	}
	s := plan.Spec{User: anybody, Layers: []plan.Layer{{Kind: plan.LayerDir, Source: "/"}}}
	if err := p.Fill(&s); err != nil {
		t.Fatal(err)
	}
	if c, err := plan.Compile(s); p.Origin != 0 || err != nil || c.Class != plan.Untrusted {
		t.Errorf("origin %d, %v, %v", p.Origin, c, err)
	}
	chown(t, write(t, dir+"/ns/a", "ninefold 1\nbind /srv /etc\n"), 12345)
	if _, err := LoadFile(dir + "/a.toml"); !errors.Is(err, ErrInvalid) || !errors.Is(err, plan.ErrForbidden) {
		t.Errorf("got %v", err)
	}
}

func chown(t *testing.T, file string, uid int) string {
	t.Helper()
	if err := os.Chown(file, uid, uid); err != nil {
		t.Fatal(err)
	}
	return ""
}

func chmod(t *testing.T, file string, mode os.FileMode) string {
	t.Helper()
	if err := os.Chmod(file, mode); err != nil {
		t.Fatal(err)
	}
	return ""
}
