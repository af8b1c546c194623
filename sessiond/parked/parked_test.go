package parked_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"ninefold/namespaces"
	"ninefold/namespaces/plan"
	"ninefold/sessiond/parked"
	"ninefold/tests/needs"
)

const uid = 12345

// root is a live root on the host's, with a stamp, and a second layer for a
// file system of its own.
type root struct {
	t *testing.T
	s *namespaces.Session
}

func newRoot(t *testing.T, stamp string) *root {
	t.Helper()
	needs.Root(t)
	init, err := filepath.Abs("../../bin")
	if err != nil {
		t.Fatal(err)
	}
	host := []plan.Layer{{Kind: plan.LayerDir, Source: "/"}}
	usr := []plan.Layer{{Kind: plan.LayerDir, Source: "/", Sub: "usr"}}
	p := &plan.Plan{Class: plan.Trusted, Ops: []plan.Op{
		plan.Namespaces{Net: plan.NetHost, User: plan.UserHost},
		plan.Overlay{Target: "/", Lowers: host, Upper: &plan.Upper{Size: 64 << 20}},
		plan.Overlay{Target: "/usr", Lowers: usr, Upper: &plan.Upper{Name: "@usr", Size: 64 << 20}},
		plan.Bind{Source: "/proc", Target: "/proc", Recursive: true},
		plan.Bind{Source: "/dev", Target: "/dev", Recursive: true},
		plan.Mount{Type: "tmpfs", Target: "/run"},
		plan.Mount{Type: "tmpfs", Target: "/tmp", Options: []string{"mode=1777"}},
		plan.Bind{Source: init, Target: plan.LibDir, Flags: plan.Flags{ReadOnly: true}},
		plan.File{Path: "/etc/ninefold-composed", Content: "made with the root", Mode: 0o644},
		plan.Privileges{Capabilities: []string{"cap_chown", "cap_dac_override", "cap_fowner", "cap_fsetid", "cap_sys_admin"}},
		plan.Identity{},
	}}
	s, err := namespaces.Start(t.Context(), p, namespaces.Command{Stamp: stamp})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return &root{t, s}
}

// sh runs a script in the root, as root.
func (r *root) sh(script string) string {
	r.t.Helper()
	pr, pw, err := os.Pipe()
	if err != nil {
		r.t.Fatal(err)
	}
	c, err := r.s.Enter(namespaces.Command{Argv: []string{"/bin/sh", "-c", "PATH=/usr/bin:/bin; " + script}, Stdout: pw, Stderr: pw})
	pw.Close()
	if err != nil {
		r.t.Fatal(err)
	}
	out := make([]byte, 64<<10)
	n := 0
	for {
		m, err := pr.Read(out[n:])
		if n += m; err != nil {
			break
		}
	}
	status, err := c.Wait()
	if err != nil || status.Code != 0 {
		r.t.Fatalf("%s: %v %v: %s", script, status, err, out[:n])
	}
	return string(out[:n])
}

func (r *root) layers() *parked.Layers {
	r.t.Helper()
	fd, err := unix.Open(fmt.Sprintf("/proc/%d/fd/%d", r.s.PID(), namespaces.HeldLayers), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		r.t.Fatal(err)
	}
	l, err := parked.Open(os.NewFile(uintptr(fd), "layers"))
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(l.Close)
	return l
}

func (r *root) ns() *os.File {
	r.t.Helper()
	f, err := os.Open(fmt.Sprintf("/proc/%d/ns/mnt", r.s.PID()))
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { f.Close() })
	return f
}

// state is a state directory that everybody may pass, for overlays and users.
func state(t *testing.T) string { return t.TempDir() }

const written = `set -e
mkdir -p /opt/tool/bin /usr/local/own
echo tool > /opt/tool/bin/tool; chmod 4755 /opt/tool/bin/tool
echo changed >> /etc/hostname
ln -s /opt/tool /usr/local/tool
echo mine > /usr/local/own/mine; chmod 600 /usr/local/own/mine; chown -R 12345:12345 /usr/local/own
echo changed > /etc/ninefold-composed
rm -f /etc/debian_version
mkfifo /opt/pipe
echo not > /tmp/counted`

func park(t *testing.T, shelf *parked.Shelf, l *parked.Layers) parked.Item {
	t.Helper()
	it, err := shelf.Park(t.Context(), l, parked.Item{UID: uid, User: "mia", Profile: "p", When: time.Now().UTC()})
	if err != nil {
		t.Fatal(err)
	}
	return it
}

func TestWhatASessionWroteComesBack(t *testing.T) {
	one := newRoot(t, namespaces.StampPark)
	l := one.layers()
	if a, err := l.Count(t.Context()); err != nil || a.Files != 0 || !l.Parks {
		t.Fatalf("what the root was made of counts as written: %+v %v", a, err)
	}
	shelf := parked.On(state(t))
	if _, err := shelf.Park(t.Context(), l, parked.Item{UID: uid}); !errors.Is(err, parked.ErrEmpty) {
		t.Errorf("nothing was written, and it was parked: %v", err)
	}
	one.sh(written)
	a, err := l.Count(t.Context())
	// tool, hostname, the link, mine, composed, what is gone, the pipe
	if err != nil || a.Files != 7 || a.Bytes < 20 {
		t.Errorf("counted %+v %v", a, err)
	}
	it := park(t, shelf, l)
	if it.Files != 5 || it.Left != 1 {
		t.Errorf("parked %+v", it)
	}
	items, err := shelf.List()
	if err != nil || len(items) != 1 || items[0].ID != it.ID {
		t.Fatalf("listed %v %v", items, err)
	}

	two := newRoot(t, namespaces.StampPark)
	two.sh("mkdir -p /opt/tool/bin && echo newer > /opt/tool/bin/tool")
	// As the user: what is the user's, where the user may write.
	user := parked.Into{View: two.ns(), User: plan.Identity{UID: uid, GID: uid}, Written: two.layers()}
	r, err := shelf.Restore(t.Context(), it, user)
	if err != nil || r.Files != 0 || r.Roots != 4 || r.Failed != 1 || !strings.Contains(r.Why, "permission denied") {
		t.Errorf("as the user: %+v %v", r, err)
	}
	two.sh("mkdir -p /usr/local/own && chown 12345 /usr/local/own")
	if r, err = shelf.Restore(t.Context(), it, user); err != nil || r.Files != 1 {
		t.Errorf("as the user, where there is room: %+v %v", r, err)
	}
	if got := two.sh("stat -c '%u %a' /usr/local/own/mine; cat /usr/local/own/mine"); got != "12345 600\nmine\n" {
		t.Errorf("restored: %s", got)
	}
	// As root: the rest, but for what was written in this session.
	all := user
	all.AsRoot = true
	if r, err = shelf.Restore(t.Context(), it, all); err != nil || r.Files != 3 || r.Written != 2 || r.Failed != 0 {
		t.Errorf("as root: %+v %v", r, err)
	}
	if got := two.sh("cat /opt/tool/bin/tool; tail -1 /etc/hostname; readlink /usr/local/tool; cat /etc/ninefold-composed"); got != "newer\nchanged\n/opt/tool\nchanged\n" {
		t.Errorf("restored: %s", got)
	}
	all.Over = true
	if r, err = shelf.Restore(t.Context(), it, all); err != nil || r.Files != 5 {
		t.Errorf("over what is there: %+v %v", r, err)
	}
	if got := two.sh("cat /opt/tool/bin/tool; stat -c %a /opt/tool/bin/tool"); got != "tool\n4755\n" {
		t.Errorf("restored: %s", got)
	}
	if _, err := os.Stat("/opt/tool"); !errors.Is(err, fs.ErrNotExist) {
		t.Error("it came to the host")
	}
	if err := shelf.Discard(it); err != nil {
		t.Fatal(err)
	}
	if _, err := shelf.Find(it.ID); !errors.Is(err, parked.ErrNotFound) {
		t.Errorf("discarded, and still there: %v", err)
	}
}

// TestRestoringIsNotLedAstray has links and mounts of the live view on the way.
func TestRestoringIsNotLedAstray(t *testing.T) {
	one := newRoot(t, namespaces.StampPark)
	one.sh("mkdir -p /opt/a /opt/b; echo x > /opt/a/x; echo x > /opt/b/x; echo x > /opt/y")
	shelf := parked.On(state(t))
	it := park(t, shelf, one.layers())
	two := newRoot(t, namespaces.StampPark)
	two.sh("ln -s /etc /opt/a; mkdir /opt/b; mount -t tmpfs none /opt/b; ln -s /etc/passwd /opt/y")
	r, err := shelf.Restore(t.Context(), it, parked.Into{View: two.ns(), AsRoot: true, Over: true})
	if err != nil || r.Files != 1 || r.Failed != 2 {
		t.Errorf("%+v %v", r, err)
	}
	if got := two.sh("ls /etc/x /opt/b 2>&1 | grep -c x$; cat /opt/y; head -c5 /etc/passwd"); !strings.HasSuffix(got, "x\nroot:") {
		t.Errorf("it was led: %s", got)
	}
	if _, err := os.Stat("/etc/x"); err == nil {
		t.Error("it reached the host")
	}
}

// TestKilledAnywhere leaves a shelf as a process that was killed would.
func TestKilledAnywhere(t *testing.T) {
	needs.Root(t)
	dir := state(t)
	shelf := parked.On(dir)
	place := filepath.Join(dir, "parked", "12345")
	kept := filepath.Join(dir, "kept")
	if err := os.MkdirAll(filepath.Join(kept, "upper"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(kept, "upper", "x"), []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	it, err := shelf.TakeIn(kept, parked.Item{UID: uid, Profile: "p", When: time.Now().UTC()})
	if err != nil {
		t.Fatal(err)
	}
	whole := filepath.Join(place, it.ID)
	// Killed after the layers were moved and before the item had its name.
	if err := os.Rename(whole, filepath.Join(place, ".new-"+it.ID)); err != nil {
		t.Fatal(err)
	}
	shelf.Tidy(time.Now())
	if again, err := shelf.Find(it.ID); err != nil || again.Kind != parked.SetAside {
		t.Fatalf("a kept layer is lost: %v", err)
	}
	// Killed before the record, and between a record and its layers.
	for name, file := range map[string]string{".new-aaaa": "layers/upper/x", ".new-bbbb": "x"} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(place, name, file)), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	record, err := os.ReadFile(filepath.Join(whole, "record"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(place, ".new-bbbb", "record"), record, 0o600); err != nil {
		t.Fatal(err)
	}
	// Of a newer version.
	newer := append([]byte{}, record...)
	newer[8] = 9
	if err := os.MkdirAll(filepath.Join(place, ".new-cccc", "layers"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(place, ".new-cccc", "record"), newer, 0o600); err != nil {
		t.Fatal(err)
	}
	shelf.Tidy(time.Now().Add(1000 * time.Hour))
	for name, want := range map[string]bool{it.ID: true, ".new-aaaa": false, ".new-bbbb": false, ".new-cccc": true} {
		if _, err := os.Lstat(filepath.Join(place, name)); (err == nil) != want {
			t.Errorf("%s: %v", name, err)
		}
	}
	// A removal that was killed once the item had lost its name.
	if err := os.Rename(whole, filepath.Join(place, ".new-"+it.ID)); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(place, ".new-"+it.ID, "record")); err != nil {
		t.Fatal(err)
	}
	shelf.Tidy(time.Now())
	if _, err := os.Lstat(filepath.Join(place, ".new-"+it.ID)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("half of a removal stays: %v", err)
	}
}

func TestTheShelfIsBounded(t *testing.T) {
	one := newRoot(t, namespaces.StampPark)
	one.sh("echo x > /opt/x")
	shelf, l := parked.On(state(t)), one.layers()
	var last parked.Item
	for range 5 {
		last = park(t, shelf, l)
	}
	items, err := shelf.List()
	if err != nil || len(items) != 3 || items[0].ID != last.ID {
		t.Errorf("%v %v", items, err)
	}
	for range 2 {
		if _, err := shelf.Park(t.Context(), l, parked.Item{UID: uid, Profile: "p", View: "v", When: time.Now().UTC()}); err != nil {
			t.Fatal(err)
		}
	}
	n := 0
	for items, _ = shelf.List(); n < len(items) && items[n].View == "v"; n++ {
	}
	if n != 1 || len(items) != 3 {
		t.Errorf("a view that was parked twice: %v", items)
	}
	shelf.Tidy(time.Now().Add(15 * 24 * time.Hour))
	if items, _ = shelf.List(); len(items) != 0 {
		t.Errorf("after two weeks: %v", items)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := shelf.Park(ended, l, parked.Item{UID: uid}); err == nil {
		t.Error("parked after the end")
	}
}

// TestAKeptLayerThatMixes: files that have another owner or mode, and no content.
func TestAKeptLayerThatMixes(t *testing.T) {
	needs.Root(t)
	dir := state(t)
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "upper", "etc", "x")
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if mixes, err := parked.Mixes(t.Context(), dir); err != nil || mixes {
		t.Errorf("%v %v", mixes, err)
	}
	if err := unix.Setxattr(file, "trusted.overlay.metacopy", nil, 0); err != nil {
		t.Fatal(err)
	}
	if mixes, err := parked.Mixes(t.Context(), dir); err != nil || !mixes {
		t.Errorf("a file without content: %v %v", mixes, err)
	}
}
