package namespaces_test

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"ninefold/namespaces"
	"ninefold/namespaces/plan"
	"ninefold/tests/needs"
)

// initDir builds ninefold-init once per run.
func initDir(t testing.TB) string {
	t.Helper()
	needs.Root(t)
	dir, err := filepath.Abs("../bin")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "ninefold-init")); err != nil {
		t.Fatalf("%v (make build)", err)
	}
	return dir
}

// weak is what an untrusted plan needs on its mounts; it hurts no test.
var weak = plan.Flags{NoSuid: true, NoDev: true}

// hostPlan is a session on the host's root with a throw-away upper.
func hostPlan(t testing.TB, ns plan.Namespaces, uid uint32, more ...plan.Op) *plan.Plan {
	ops := []plan.Op{
		ns,
		plan.Overlay{Target: "/", Lowers: []plan.Layer{{Kind: plan.LayerDir, Source: "/"}}, Upper: &plan.Upper{Size: 64 << 20}, Flags: weak},
		plan.Mount{Type: "proc", Target: "/proc", Flags: weak},
		plan.Mount{Type: "dev", Target: "/dev", Flags: plan.Flags{NoSuid: true, NoExec: true}},
		plan.Mount{Type: "devpts", Target: "/dev/pts", Flags: plan.Flags{NoSuid: true, NoExec: true}, Options: []string{"newinstance", "ptmxmode=0666", "mode=620", "gid=5"}},
		plan.Mount{Type: "tmpfs", Target: "/dev/shm", Flags: weak, Options: []string{"mode=1777"}},
		plan.Mount{Type: "tmpfs", Target: "/run", Flags: weak, Options: []string{"mode=0755"}},
		plan.Mount{Type: "tmpfs", Target: "/tmp", Flags: weak, Options: []string{"mode=1777"}},
		plan.Bind{Source: initDir(t), Target: "/run/ninefold/lib", Flags: plan.Flags{ReadOnly: true, NoSuid: true, NoDev: true}},
	}
	ops = append(ops, more...)
	ops = append(ops, plan.Environment{Name: "PATH", Value: "/usr/bin:/bin"}, plan.Identity{UID: uid, GID: uid})
	return &plan.Plan{Class: plan.Trusted, Ops: ops}
}

// output runs argv in a session of p and returns what it printed.
func output(t testing.TB, p *plan.Plan, argv ...string) (string, namespaces.Status) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	text := make(chan string)
	go func() {
		var b strings.Builder
		buf := make([]byte, 4096)
		for {
			n, err := r.Read(buf)
			b.Write(buf[:n])
			if err != nil {
				text <- b.String()
				return
			}
		}
	}()
	status, err := namespaces.Run(context.Background(), p, namespaces.Command{Argv: argv, Stdout: w, Stderr: w})
	w.Close()
	out := <-text
	if err != nil {
		t.Fatalf("run %q: %v\n%s", argv, err, out)
	}
	return out, status
}

var all = plan.Namespaces{PID: true, IPC: true, UTS: true, Net: plan.NetNone, User: plan.UserHost, Hostname: "ninefold-test"}

func TestCommandSeesItsOwnWorld(t *testing.T) {
	before := mountinfo(t)
	out, status := output(t, hostPlan(t, all, 0), "sh", "-c",
		"hostname; echo $$; ls /proc | grep -c '^[0-9]'; touch /etc/ninefold-marker && echo wrote; ls /sys/class/net 2>/dev/null; cat /proc/net/dev | grep -c :; exit 7")
	if status.Code != 7 {
		t.Errorf("exit code %d, want 7", status.Code)
	}
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if lines[0] != "ninefold-test" || lines[1] != "2" {
		t.Errorf("host name and pid: %q", lines)
	}
	if !strings.Contains(out, "wrote") {
		t.Errorf("the writable layer cannot be written: %s", out)
	}
	if _, err := os.Stat("/etc/ninefold-marker"); err == nil {
		t.Error("a write inside reached the host")
	}
	if after := mountinfo(t); after != before {
		t.Errorf("the host's mount table changed:\n%s\n%s", before, after)
	}
}

func mountinfo(t testing.TB) string {
	b, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestExitStatus(t *testing.T) {
	for _, c := range []struct {
		argv []string
		code int
	}{
		{[]string{"true"}, 0},
		{[]string{"sh", "-c", "exit 42"}, 42},
		{[]string{"sh", "-c", "kill -TERM $$"}, 128 + 15},
		{[]string{"/nowhere/at-all"}, 127},
		{[]string{"/etc/passwd"}, 126},
	} {
		if _, status := output(t, hostPlan(t, all, 0), c.argv...); status.Code != c.code {
			t.Errorf("%q: code %d, want %d", c.argv, status.Code, c.code)
		}
	}
}

func TestIdentityHasNothingLeft(t *testing.T) {
	out, _ := output(t, hostPlan(t, all, 12345, plan.Privileges{NoNewPrivs: true}), "sh", "-c", "id -u; grep -E 'Cap|NoNewPrivs' /proc/self/status")
	if !strings.HasPrefix(out, "12345\n") {
		t.Errorf("identity: %s", out)
	}
	for _, line := range strings.Split(out, "\n") {
		if strings.HasPrefix(line, "Cap") && !strings.HasSuffix(line, "\t0000000000000000") {
			t.Errorf("capability left: %s", line)
		}
	}
	if !strings.Contains(out, "NoNewPrivs:\t1") {
		t.Errorf("no_new_privs is not set: %s", out)
	}
}

func TestUntrustedGetsAUserNamespace(t *testing.T) {
	ns := all
	ns.User = plan.UserMapped
	p := hostPlan(t, ns, 12345, plan.Privileges{NoNewPrivs: true, Seccomp: "default"})
	p.Class = plan.Untrusted
	out, status := output(t, p, "sh", "-c", "readlink /proc/self/ns/user; id -u; unshare -m true; echo $?; umount /proc; echo $?")
	host, _ := os.Readlink("/proc/self/ns/user")
	if status.Code != 0 || strings.Contains(out, host) || !strings.Contains(out, "\n12345\n") {
		t.Errorf("status %v: %s", status, out)
	}
	if strings.Contains(out, "\n0\n") {
		t.Errorf("something forbidden worked: %s", out)
	}
}

func TestUntrustedPlanIsCheckedAgain(t *testing.T) {
	for name, change := range map[string]func(*plan.Plan){
		"root":      func(p *plan.Plan) { p.Ops = append(p.Ops, plan.Identity{}) },
		"no userns": func(p *plan.Plan) { p.Ops[0] = all },
		"privs":     func(p *plan.Plan) { p.Ops = append(p.Ops, plan.Privileges{}) },
	} {
		ns := all
		ns.User = plan.UserMapped
		p := hostPlan(t, ns, 12345, plan.Privileges{NoNewPrivs: true})
		p.Class = plan.Untrusted
		change(p)
		if _, err := namespaces.Start(context.Background(), p, namespaces.Command{Argv: []string{"true"}}); err == nil {
			t.Errorf("%s: an untrusted session was made without its walls", name)
		}
	}
}

func TestNothingOutlivesTheSession(t *testing.T) {
	for _, ns := range []plan.Namespaces{all, {Net: plan.NetHost, User: plan.UserHost}} {
		out, _ := output(t, hostPlan(t, ns, 0), "sh", "-c", "setsid sleep 1000 >/dev/null 2>&1 & (setsid sleep 1001 >/dev/null 2>&1 &) ; readlink /proc/self/ns/mnt")
		mnt := strings.TrimSpace(out)
		entries, _ := filepath.Glob("/proc/[0-9]*")
		for _, e := range entries {
			// The number of a namespace that is gone is given to another one.
			comm, _ := os.ReadFile(e + "/comm")
			if link, err := os.Readlink(e + "/ns/mnt"); err == nil && link == mnt && string(comm) == "sleep\n" {
				t.Errorf("process %s is still in %s", filepath.Base(e), mnt)
			}
		}
	}
}

func TestReadOnlyBindAndMissingSource(t *testing.T) {
	dir := t.TempDir()
	ro := plan.Bind{Source: dir, Target: "/mnt/ro", Flags: plan.Flags{ReadOnly: true}}
	out, _ := output(t, hostPlan(t, all, 0, ro), "sh", "-c", "touch /mnt/ro/x; echo $?")
	if !strings.Contains(out, "Read-only file system") {
		t.Errorf("read-only bind: %s", out)
	}
	missing := plan.Bind{Source: dir + "/missing", Target: "/mnt/x"}
	if _, err := namespaces.Start(context.Background(), hostPlan(t, all, 0, missing), namespaces.Command{Argv: []string{"true"}}); err == nil || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("missing source: %v", err)
	}
	missing.Optional = true
	if _, status := output(t, hostPlan(t, all, 0, missing), "true"); status.Code != 0 {
		t.Errorf("optional source: %v", status)
	}
}

func TestSourcesAreOpenedAsTheirOrigin(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	secret := filepath.Join(dir, "secret")
	if err := os.Mkdir(secret, 0o755); err != nil {
		t.Fatal(err)
	}
	ns := all
	ns.User = plan.UserMapped
	p := hostPlan(t, ns, 12345, plan.Privileges{NoNewPrivs: true}, plan.Bind{Source: secret, Target: "/tmp/x", Flags: weak, Origin: 12345})
	p.Class = plan.Untrusted
	if _, err := namespaces.Start(context.Background(), p, namespaces.Command{Argv: []string{"true"}}); err == nil || !strings.Contains(err.Error(), "permission denied") {
		t.Errorf("a user's bind reached what the user cannot read: %v", err)
	}
}

func TestManySessionsAddNoMounts(t *testing.T) {
	before := mountinfo(t)
	var open []*namespaces.Session
	for range 20 {
		s, err := namespaces.Start(context.Background(), hostPlan(t, all, 0), namespaces.Command{})
		if err != nil {
			t.Fatal(err)
		}
		open = append(open, s)
	}
	if mountinfo(t) != before {
		t.Error("sessions show in the host's mount table")
	}
	for _, s := range open {
		pid := s.PID()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat("/proc/" + strconv.Itoa(pid)); err == nil {
			t.Errorf("process %d outlived its session", pid)
		}
	}
}

func BenchmarkSession(b *testing.B) {
	p := hostPlan(b, plan.Namespaces{PID: true, IPC: true, UTS: true, Net: plan.NetHost, User: plan.UserHost}, 0)
	for b.Loop() {
		if s, err := namespaces.Run(context.Background(), p, namespaces.Command{Argv: []string{"/bin/true"}}); err != nil || s.Code != 0 {
			b.Fatal(s, err)
		}
	}
}
