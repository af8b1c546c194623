package namespaces_test

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"ninefold/namespaces"
	"ninefold/namespaces/plan"
	"ninefold/tests/needs"
)

func TestCheckTarget(t *testing.T) {
	for target, ok := range map[string]bool{"/home/mia/x": true, "/home/mia/x/y": true, "/n/x": true, "/home/mia": false, "/home/mia/": false, "/home/mia/../x": false,
		"/home/miax/y": false, "/n": false, "/n/": false, "/n/x/y": false, "/n/..": false, "/etc": false, "": false, "home/mia/x": false, "/home/mia//x": false, "/home/mia/x\x00": false} {
		if err := namespaces.CheckTarget("/home/mia", target); (err == nil) != ok || err != nil && !errors.Is(err, namespaces.ErrTarget) {
			t.Errorf("%q: %v", target, err)
		}
	}
	for _, home := range []string{"/", "", "relative"} {
		if namespaces.CheckTarget(home, "/etc/x") == nil || namespaces.CheckTarget(home, "relative/x") == nil {
			t.Errorf("home %q lets binds land anywhere", home)
		}
	}
}

// liveWorld is a session with a home, and what a daemon has to bind into it.
func liveWorld(t *testing.T) (l namespaces.Live, see func(script string) string, home string) {
	t.Helper()
	home = t.TempDir()
	for _, dir := range []string{filepath.Dir(home), home} {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	const uid = 12345
	for _, name := range []string{"dir", "file", "source/sub", "source/setuid", "secret/inner"} {
		name = filepath.Join(home, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(name, "dir") || strings.HasSuffix(name, "sub") {
			err := os.Mkdir(name, 0o755)
			if err != nil {
				t.Fatal(err)
			}
			continue
		}
		if err := os.WriteFile(name, []byte("content of "+filepath.Base(name)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for link, to := range map[string]string{"out": "/etc", "up": "..", "in": "dir"} {
		if err := os.Symlink(to, filepath.Join(home, link)); err != nil {
			t.Fatal(err)
		}
	}
	_ = filepath.Walk(home, func(name string, _ os.FileInfo, _ error) error { return os.Lchown(name, uid, uid) })
	if err := os.Chown(filepath.Join(home, "secret"), 0, 0); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(home, "secret"), 0o700); err != nil {
		t.Fatal(err)
	}
	p := hostPlan(t, plan.Namespaces{Net: plan.NetHost, User: plan.UserHost}, uid, plan.Bind{Source: home, Target: home, Recursive: true})
	s, err := namespaces.Start(context.Background(), p, namespaces.Command{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	open := func(name string) *os.File {
		f, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		return f
	}
	l = namespaces.Live{View: open("/proc/" + strconv.Itoa(s.PID()) + "/ns/mnt"), From: open("/proc/self/ns/mnt"), Home: home,
		User: plan.Identity{UID: uid, GID: uid, Groups: []uint32{uid}}}
	see = func(script string) string {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		in, err := s.Enter(namespaces.Command{Argv: []string{"sh", "-c", "cd " + home + "; " + script}, Stdout: w, Stderr: w})
		if err != nil {
			t.Fatal(err)
		}
		w.Close()
		b, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := in.Wait(); err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(string(b))
	}
	return l, see, home
}

func TestLiveBind(t *testing.T) {
	needs.Root(t)
	l, see, home := liveWorld(t)
	at := func(name string) string { return filepath.Join(home, name) }
	id, err := l.Bind(at("source"), at("dir"), false)
	if err != nil {
		t.Fatal(err)
	}
	if got := see("cat dir/setuid; grep ' " + at("dir") + " ' /proc/self/mountinfo"); !strings.Contains(got, "content of setuid") ||
		!strings.Contains(got, "nosuid,nodev") || strings.Contains(got, "shared:") {
		t.Errorf("inside: %s", got)
	}
	if b, err := os.ReadDir(at("dir")); err != nil || len(b) > 0 {
		t.Errorf("outside: %v %v", b, err)
	}
	if err := l.Unbind(at("dir"), id+1); !errors.Is(err, namespaces.ErrNotOurs) {
		t.Errorf("another mount: %v", err)
	}
	if err := l.Unbind(at("dir"), id); err != nil {
		t.Error(err)
	}
	if err := l.Unbind(at("dir"), id); !errors.Is(err, namespaces.ErrNotOurs) {
		t.Errorf("twice: %v", err)
	}
	// A file, read-only, from the view itself.
	inside := l
	inside.From = nil
	if _, err := inside.Bind(at("source/setuid"), at("file"), true); err != nil {
		t.Fatal(err)
	}
	if got := see("cat file; echo x > file"); !strings.Contains(got, "content of setuid") || !strings.Contains(got, "Read-only") {
		t.Errorf("a file: %s", got)
	}
	if _, err := l.Bind(at("source"), "/n/here", false); err != nil {
		t.Fatal(err)
	}
	if got := see("cat /n/here/setuid"); got != "content of setuid" {
		t.Errorf("/n: %s", got)
	}
	if _, err := os.Stat("/n/here"); err == nil {
		t.Error("/n/here is on the host")
	}
}

func TestLiveBindRefusals(t *testing.T) {
	needs.Root(t)
	l, _, home := liveWorld(t)
	at := func(name string) string { return filepath.Join(home, name) }
	for _, c := range []struct {
		source, target string
		want           error
	}{
		{at("source"), "/etc", namespaces.ErrTarget},
		{at("source"), at("out"), unix.EXDEV},
		{at("source"), at("out/ssl"), unix.EXDEV},
		{at("source"), at("up"), unix.EXDEV},
		{at("source"), at("missing"), unix.ENOENT},
		{at("source"), at("file"), nil},
		{at("file"), at("dir"), nil},
		{at("secret/inner"), at("file"), unix.EACCES},
		{at("source"), at("secret/inner"), unix.EACCES},
		{"/proc/self/root", at("dir"), unix.ELOOP},
		{"/etc/shadow", at("file"), unix.EACCES},
		{at("secret"), at("dir"), unix.EACCES},
		{at("nothing"), at("dir"), unix.ENOENT},
	} {
		if _, err := l.Bind(c.source, c.target, false); err == nil || c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("%s at %s: %v, want %v", c.source, c.target, err, c.want)
		}
	}
	l.AsRoot = true
	if _, err := l.Bind(at("secret/inner"), at("file"), false); err != nil {
		t.Errorf("root's source: %v", err)
	}
	if _, err := l.Bind(at("source"), at("secret/inner"), false); !errors.Is(err, unix.EACCES) {
		t.Errorf("root's target: %v", err)
	}
}
