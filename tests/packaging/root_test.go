package packaging

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"ninefold/tests/machine"
)

// suites are the Debian releases that packages are for.
var suites = []string{"bookworm", "trixie"}

// scratch is the root file system of a Debian, not booted, that a test may
// change. alice has an account in it.
type scratch struct {
	t   *testing.T
	dir string
}

func newScratch(t *testing.T, suite string) *scratch {
	t.Helper()
	need(t, "mmdebstrap")
	tree, err := machine.Tree(t.Context(), suite)
	if err != nil {
		t.Fatal(err)
	}
	base := t.TempDir()
	mount := func(source, target, kind, data string) {
		t.Helper()
		if err := os.MkdirAll(target, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := unix.Mount(source, target, kind, 0, data); err != nil {
			t.Fatalf("mount %s: %v", target, err)
		}
		t.Cleanup(func() {
			if err := unix.Unmount(target, unix.MNT_DETACH); err != nil {
				t.Errorf("unmount %s: %v", target, err)
			}
		})
	}
	mount("tmpfs", filepath.Join(base, "rw"), "tmpfs", "mode=755")
	upper, work := filepath.Join(base, "rw/upper"), filepath.Join(base, "rw/work")
	for _, d := range []string{upper, work} {
		if err := os.Mkdir(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	root := filepath.Join(base, "root")
	mount("scratch", root, "overlay", fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s", tree, upper, work))
	mount("proc", filepath.Join(root, "proc"), "proc", "")
	return &scratch{t: t, dir: root}
}

// run runs a program inside, as root, and returns what it wrote.
func (s *scratch) run(args ...string) (string, error) {
	c := exec.CommandContext(s.t.Context(), args[0], args[1:]...)
	if p, err := s.find(args[0]); err == nil {
		c.Path, c.Err = p, nil
	}
	c.Dir = "/"
	c.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C.UTF-8", "HOME=/root", "TERM=dumb"}
	c.SysProcAttr = &syscall.SysProcAttr{Chroot: s.dir, Setsid: true}
	out, err := c.CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

func (s *scratch) find(name string) (string, error) {
	for _, dir := range []string{"/usr/sbin", "/usr/bin"} {
		p := filepath.Join(dir, name)
		if _, err := os.Stat(s.path(p)); err == nil {
			return p, nil
		}
	}
	return "", fs.ErrNotExist
}

// must is run, for programs that have to succeed.
func (s *scratch) must(args ...string) string {
	s.t.Helper()
	out, err := s.run(args...)
	if err != nil {
		s.t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

func (s *scratch) path(name string) string { return filepath.Join(s.dir, name) }

func (s *scratch) read(name string) string {
	s.t.Helper()
	b, err := os.ReadFile(s.path(name))
	if err != nil {
		s.t.Fatal(err)
	}
	return string(b)
}

// install copies a package in and installs it.
func (s *scratch) install(deb string) string {
	s.t.Helper()
	b, err := os.ReadFile(deb)
	if err != nil {
		s.t.Fatal(err)
	}
	const name = "/run/ninefold.deb"
	if err := os.WriteFile(s.path(name), b, 0o644); err != nil {
		s.t.Fatal(err)
	}
	out := s.must("dpkg", "--install", name)
	if err := os.Remove(s.path(name)); err != nil {
		s.t.Fatal(err)
	}
	return out
}

// logins asserts that people can log in. Without a booted system that is su.
func (s *scratch) logins(when string) {
	s.t.Helper()
	for _, user := range []string{"alice", "root"} {
		// The module may say why it is the host.
		if out, err := s.run("su", "-l", user, "-c", "id -un"); err != nil || !slices.Contains(strings.Split(out, "\n"), user) {
			s.t.Errorf("%s, su -l %s: %v\n%s", when, user, err, out)
		}
	}
}

// state describes every file below dir: type, mode, owner and content.
func (s *scratch) state(dir string, skip ...string) map[string]string {
	s.t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(s.path(dir), func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := strings.TrimPrefix(p, s.dir)
		if slices.Contains(skip, name) {
			if d.IsDir() {
				return filepath.SkipDir
			}
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		st := info.Sys().(*syscall.Stat_t)
		text := fmt.Sprintf("%s %d:%d", info.Mode(), st.Uid, st.Gid)
		switch {
		case info.Mode().IsRegular():
			b, err := os.ReadFile(p)
			if err != nil {
				return err
			}
			text += fmt.Sprintf(" %x", sha256.Sum256(b))
		case info.Mode()&fs.ModeSymlink != 0:
			to, err := os.Readlink(p)
			if err != nil {
				return err
			}
			text += " -> " + to
		}
		out[name] = text
		return nil
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return out
}

// changes lists what differs between two states, one line a file.
func changes(before, after map[string]string) []string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(before)) {
		if now, ok := after[name]; !ok {
			out = append(out, "gone: "+name)
		} else if now != before[name] {
			out = append(out, fmt.Sprintf("changed: %s: %s, was %s", name, now, before[name]))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(after)) {
		if _, ok := before[name]; !ok {
			out = append(out, "new: "+name)
		}
	}
	return out
}
