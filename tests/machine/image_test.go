package machine

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// imaged is a profile whose root is an image, of another release than one of
// the machines.
const imaged = `version = 1
name = "imaged"
base = "login"
namespace = """
file /etc/ninefold-marker imaged
"""
`

var imageMade atomic.Bool

// image builds the images "login", and "planted" on it, once per process, over
// the network.
var image = sync.OnceValues(func() (state string, err error) {
	imageMade.Store(true)
	top, err := filepath.Abs("../..")
	if err != nil {
		return "", err
	}
	// A state directory is root's alone, and outlives the test that made it.
	state, err = os.MkdirTemp(cacheDir(), "state-")
	if err != nil {
		return "", err
	}
	config := filepath.Join(state, "config")
	recipes := filepath.Join(config, "recipes")
	if err := os.MkdirAll(recipes, 0o755); err != nil {
		return state, err
	}
	for _, f := range []string{top + "/recipes/debian-base.toml", "testdata/login.toml", "testdata/planted.toml"} {
		text, err := os.ReadFile(f)
		if errors.Is(err, os.ErrNotExist) && filepath.Ext(f) == ".lock" {
			continue // it is made where it is missing
		}
		if err != nil {
			return state, err
		}
		if err := os.WriteFile(filepath.Join(recipes, filepath.Base(f)), text, 0o644); err != nil {
			return state, err
		}
	}
	if err := plant(filepath.Join(recipes, "planted")); err != nil {
		return state, err
	}
	out, err := exec.Command(top+"/bin/sessionctl", "--state", state, "--config", config, "image", "build", "planted").CombinedOutput()
	if err != nil {
		return state, &os.PathError{Op: "build the image in", Path: state + "\n" + string(tail(out)), Err: err}
	}
	return state, nil
})

// plant makes the directory of the image "planted".
func plant(dir string) error {
	if err := os.CopyFS(dir, os.DirFS("testdata/planted")); err != nil {
		return err
	}
	to := filepath.Join(dir, "usr/local/planted")
	return errors.Join(library(filepath.Join(to, "preload.so"), "preload"),
		library(filepath.Join(to, "libnss_planted.so.2"), ""), library(filepath.Join(to, "pam_planted.so"), ""))
}

// library compiles testdata/planted.c; loading it leaves a mark of that name.
func library(to, mark string) error {
	args := []string{"-shared", "-fPIC", "-O2", "-o", to, "testdata/planted.c"}
	if mark != "" {
		args = append(args, "-DPRELOAD=\""+mark+"\"")
	}
	if out, err := exec.Command("gcc", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("gcc %s: %w\n%s", to, err, tail(out))
	}
	return nil
}

func homeLibrary(t *testing.T) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "planted.so")
	if err := library(to, "home"); err != nil {
		t.Fatal(err)
	}
	return to
}

// imagedState is a state with the images for one machine alone.
func imagedState(t *testing.T) string {
	t.Helper()
	made, err := image()
	if err != nil {
		t.Fatal(err)
	}
	state, err := os.MkdirTemp(cacheDir(), "state-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(state) })
	// Nothing of Ninefold's writes in place in a state, so links are copies; but a lock
	// on one of them would be on the other, too.
	if err := host(t.Context(), "cp", "-al", made+"/.", state); err != nil {
		t.Fatal(err)
	}
	err = filepath.WalkDir(state, func(name string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		if st, err := e.Info(); err != nil || st.Size() > 0 {
			return err
		}
		return host(t.Context(), "cp", "-p", "--remove-destination", filepath.Join(made, strings.TrimPrefix(name, state)), name)
	})
	if err != nil {
		t.Fatal(err)
	}
	return state
}

// imagedMachine boots a machine where every login is to enter the image.
func imagedMachine(t *testing.T, suite string) *Booted {
	t.Helper()
	Able(t)
	b := installed(t, suite, Options{State: imagedState(t)})
	b.Write(profileDir+"imaged.toml", imaged)
	b.configure("[login]\ndefault = \"imaged\"\n")
	return b
}

func TestMain(m *testing.M) {
	code := m.Run()
	if imageMade.Load() {
		if state, _ := image(); state != "" {
			os.RemoveAll(state)
		}
	}
	os.Exit(code)
}

// TestLoginsToAnImage logs in to a root that is an image of Debian 13, whatever
// the machine is.
func TestLoginsToAnImage(t *testing.T) {
	for _, suite := range suites() {
		t.Run(suite, func(t *testing.T) {
			t.Parallel()
			b := imagedMachine(t, suite)
			for _, w := range Ways {
				t.Run(w.Name, func(t *testing.T) {
					b := b.For(t)
					p := b.probe(t, w, "bob")
					if p["marker"] != "imaged" || p["profile"] != "imaged" || p["mnt"] == b.hostNS() || p["cwd"] != "/home/bob" {
						t.Errorf("not in the view: %v", p)
					}
					b.allIn("bob", p["mnt"])
					r := b.Login(w, "bob", "grep ^VERSION_CODENAME /etc/os-release; test -e /usr/sbin/sshd || echo no sshd")
					if strings.Join(strings.Fields(r.Stdout), " ") != "VERSION_CODENAME=trixie no sshd" {
						t.Errorf("not the image's root: %s", r)
					}
				})
			}
			t.Run("built-again", func(t *testing.T) {
				// The image came from another machine; this one makes it anew, of the same lock.
				r := b.For(t).Run("sessionctl", "--config", "/var/lib/ninefold/config", "image", "build", "--offline", "--check", "login")
				if lines := strings.Split(strings.TrimSpace(r.Stdout), "\n"); !r.OK() || len(lines) != 3 || strings.Count(r.Stdout, "unchanged, and the same again") != 2 {
					t.Errorf("this machine does not make the image that it was given: %s", r)
				}
			})
			t.Run("jobs", func(t *testing.T) { b.For(t).inBackground() })
			t.Run("found", func(t *testing.T) { b.For(t).foundIn() })
			t.Run("ssh-channels", func(t *testing.T) {
				b := b.For(t)
				b.Write("/run/batch", "get /etc/ninefold-marker /run/by-sftp\n")
				if r := b.Run("sftp", "-b", "/run/batch", "bob@localhost"); !r.OK() || b.Must("cat", "/run/by-sftp") != "imaged" {
					t.Errorf("sftp: %s", r)
				}
			})
		})
	}
}

// foundIn asks where a package of the image is, while a login stands on it.
func (b *Booted) foundIn() {
	b.t.Helper()
	b.login("bob")
	view := b.viewOf("bob")
	b.Write("/run/hole.json", `{"id": "DSA-0", "upstream": ["CVE-2000-0000"], "affected": [{"package": {"ecosystem": "Debian:13", "name": "sudo"},
		"ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "99"}]}]}]}`)
	b.Must("sessionctl", "image", "osv", "import", "/run/hole.json")
	for _, question := range [][]string{{"--package", "openssh-client>1:1"}, {"--file", "/bin/ssh"}, {"--cve", "CVE-2000-0000"}} {
		r := b.Run(append([]string{"sessionctl", "image", "find"}, question...)...)
		// Tests that ran before may have built images on it.
		var found, used []string
		for _, line := range strings.Split(strings.TrimSpace(r.Stdout), "\n")[1:] {
			f := strings.Fields(line)
			found = append(found, f[0])
			if f[len(f)-1] != "-" {
				used = append(used, strings.Join(append(f[:1], f[len(f)-3:]...), " "))
			}
		}
		want := "login login imaged " + view
		if !r.OK() || !slices.Equal(used, []string{want}) || !slices.Contains(found, "planted") {
			b.t.Errorf("%v: want it in planted and, in use, %q: %s", question, want, r)
		}
	}
}
