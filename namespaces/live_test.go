package namespaces_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"ninefold/namespaces"
	"ninefold/namespaces/kernel"
	"ninefold/namespaces/plan"
	"ninefold/tests/needs"
)

func TestEnterSeesTheSession(t *testing.T) {
	mapped := all
	mapped.User = plan.UserMapped
	for name, c := range map[string]struct {
		ns    plan.Namespaces
		class plan.Class
	}{"trusted": {all, plan.Trusted}, "untrusted": {mapped, plan.Untrusted}, "mount alone": {plan.Namespaces{Net: plan.NetHost, User: plan.UserHost}, plan.Trusted}} {
		p := hostPlan(t, c.ns, 12345, plan.File{Path: "/etc/only-here", Mode: 0o644, Content: "yes"}, plan.Privileges{NoNewPrivs: true})
		p.Class = c.class
		s, err := namespaces.Start(context.Background(), p, namespaces.Command{})
		if err != nil {
			t.Fatal(name, err)
		}
		for way, enter := range map[string]func(namespaces.Command) (*namespaces.Session, error){
			"enter": s.Enter, "join": func(c namespaces.Command) (*namespaces.Session, error) { return join(t, p, s.PID(), c) },
		} {
			r, w, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			in, err := enter(namespaces.Command{Argv: []string{"sh", "-c", "cat /etc/only-here; id -u; grep CapEff /proc/self/status; exit 3"}, Stdout: w, Stderr: w})
			if err != nil {
				t.Fatal(name, way, err)
			}
			w.Close()
			out, _ := io.ReadAll(r)
			if status, err := in.Wait(); err != nil || status.Code != 3 || string(out) != "yes12345\nCapEff:\t0000000000000000\n" {
				t.Errorf("%s, %s: %v %v %q", name, way, status, err, out)
			}
		}
		if err := s.Close(); err != nil {
			t.Error(name, err)
		}
		if _, err := s.Enter(namespaces.Command{Argv: []string{"true"}}); err == nil {
			t.Errorf("%s: entered a session that has ended", name)
		}
	}
}

// join is what another process does: it knows a session by its namespace file.
func join(t *testing.T, p *plan.Plan, pid int, c namespaces.Command) (*namespaces.Session, error) {
	t.Helper()
	read, err := plan.Parse("plan", []byte(plan.Print(p)))
	if err != nil {
		t.Fatal(err)
	}
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		t.Fatal(err)
	}
	pidfd := os.NewFile(uintptr(fd), "pidfd")
	defer pidfd.Close()
	return namespaces.Join(read, pidfd, pid, c)
}

func TestSignalsReachTheCommand(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	s, err := namespaces.Start(context.Background(), hostPlan(t, all, 12345), namespaces.Command{
		Argv: []string{"sh", "-c", "trap 'exit 9' USR1; echo ready; while :; do sleep 0.01; done"}, Stdout: w})
	if err != nil {
		t.Fatal(err)
	}
	w.Close()
	if _, err := bufio.NewReader(r).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	if err := s.Signal(unix.SIGUSR1); err != nil {
		t.Fatal(err)
	}
	if status, err := s.Wait(); err != nil || status.Code != 9 {
		t.Errorf("%v %v", status, err)
	}
}

func TestContextEndsTheSession(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	s, err := namespaces.Start(ctx, hostPlan(t, all, 0), namespaces.Command{Argv: []string{"sleep", "1000"}})
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if status, err := s.Wait(); err != nil || status.Code != 128+9 {
		t.Errorf("%v %v", status, err)
	}
}

// TestTerminal drives a shell through a terminal of the session's own.
func TestTerminal(t *testing.T) {
	p := hostPlan(t, all, 12345)
	t.Run("of the first command", func(t *testing.T) {
		terminal(t, "/dev/pts/0", func(c namespaces.Command) (*namespaces.Session, error) {
			return namespaces.Start(context.Background(), p, c)
		})
	})
	t.Run("of one that enters", func(t *testing.T) {
		s, err := namespaces.Start(context.Background(), p, namespaces.Command{})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		terminal(t, "/dev/pts/", s.Enter)
	})
	t.Run("that others still have", func(t *testing.T) {
		s, err := namespaces.Start(context.Background(), p, namespaces.Command{})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		for _, stays := range []string{"sleep 1000", "yes"} {
			terminalLeft(t, s, stays)
		}
	})
}

// terminalLeft has a command end while something in the background has its terminal.
func terminalLeft(t *testing.T, s *namespaces.Session, stays string) {
	master, slave := hostTerminal(t)
	c, err := s.Enter(namespaces.Command{Argv: []string{"sh", "-c", "trap '' HUP; " + stays + " & echo last words"}, Stdin: slave, Stdout: slave, TTY: true})
	if err != nil {
		t.Fatal(err)
	}
	said := make(chan bool, 1)
	go func() {
		var seen []byte
		buf := make([]byte, 4096)
		for {
			n, err := master.Read(buf)
			if err != nil {
				said <- bytes.Contains(seen, []byte("last words"))
				return
			}
			seen = append(seen, buf[:n]...)
		}
	}()
	over := make(chan error, 1)
	go func() { _, err := c.Wait(); over <- err }()
	select {
	case err := <-over:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(30 * time.Second):
		t.Fatalf("a command with %q beside it does not end", stays)
	}
	master.Close()
	if !<-said {
		t.Errorf("what a command with %q beside it said last is not shown", stays)
	}
}

// terminal starts a command with a terminal and looks at it from both sides.
func terminal(t *testing.T, name string, start func(namespaces.Command) (*namespaces.Session, error)) {
	master, slave := hostTerminal(t)
	s, err := start(namespaces.Command{
		Argv: []string{"sh", "-c", "tty; stty size; read line; echo got-$line"}, Stdin: slave, Stdout: slave, TTY: true})
	if err != nil {
		t.Fatal(err)
	}
	var seen bytes.Buffer
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 1024)
		for !strings.Contains(seen.String(), "got-") {
			n, err := master.Read(buf)
			if err != nil {
				return
			}
			seen.Write(buf[:n])
		}
	}()
	if _, err := master.WriteString("hello\r"); err != nil {
		t.Fatal(err)
	}
	if status, err := s.Wait(); err != nil || status.Code != 0 {
		t.Errorf("%v %v", status, err)
	}
	select {
	case <-done:
	case <-time.After(10 * time.Second):
	}
	if out := seen.String(); !strings.Contains(out, name) || !strings.Contains(out, "24 80") || !strings.Contains(out, "got-hello") {
		t.Errorf("terminal said %q", out)
	}
}

func hostTerminal(t *testing.T) (master, slave *os.File) {
	root, err := kernel.OpenHost("/")
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	master, slave, err = kernel.OpenPTY(root, "/dev/ptmx", 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { master.Close(); slave.Close() })
	raw, err := slave.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	_ = raw.Control(func(fd uintptr) {
		_ = unix.IoctlSetWinsize(int(fd), unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: 80})
	})
	return master, slave
}

// TestKilledKeeperLeavesNothing kills, without a chance to clean up, the
// process that keeps a session, with and without a PID namespace.
func TestKilledKeeperLeavesNothing(t *testing.T) {
	if mode := os.Getenv("NINEFOLD_TEST_KEEPER"); mode != "" {
		ns := plan.Namespaces{Net: plan.NetHost, User: plan.UserHost}
		if mode == "pid" {
			ns = all
		}
		_, _ = namespaces.Run(context.Background(), hostPlan(t, ns, 0), namespaces.Command{
			Argv: []string{"sh", "-c", "setsid sleep 1000 & readlink /proc/self/ns/mnt; sleep 1000"}, Stdout: os.Stdout})
		return
	}
	needs.Root(t)
	for _, mode := range []string{"pid", "none"} {
		keeper := exec.Command("/proc/self/exe", "-test.run=TestKilledKeeperLeavesNothing$")
		keeper.Env = append(os.Environ(), "NINEFOLD_TEST_KEEPER="+mode)
		r, err := keeper.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := keeper.Start(); err != nil {
			t.Fatal(err)
		}
		line, err := bufio.NewReader(r).ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		mnt := strings.TrimSpace(line)
		if len(processesIn(mnt)) < 3 {
			t.Fatalf("%s: the session is not there: %s", mode, mnt)
		}
		_ = keeper.Process.Kill()
		_ = keeper.Wait()
		deadline := time.Now().Add(10 * time.Second)
		// Looked at once a round: a namespace of somebody else's may have the
		// number as soon as it is free.
		left := processesIn(mnt)
		for len(left) > 0 && time.Now().Before(deadline) {
			time.Sleep(5 * time.Millisecond)
			left = processesIn(mnt)
		}
		if len(left) > 0 {
			t.Errorf("%s: left behind: %v", mode, left)
		}
	}
}

// processesIn lists the processes whose mount namespace is mnt.
func processesIn(mnt string) (pids []string) {
	entries, _ := filepath.Glob("/proc/[0-9]*")
	for _, e := range entries {
		if link, err := os.Readlink(e + "/ns/mnt"); err == nil && link == mnt {
			pids = append(pids, filepath.Base(e))
		}
	}
	return pids
}

// TestCgroupLimits needs the pids controller in the unified hierarchy; a
// machine without it must say so.
func TestCgroupLimits(t *testing.T) {
	p := hostPlan(t, all, 12345, plan.Limit{Name: "tasks", Value: 10})
	s, err := namespaces.Start(context.Background(), p, namespaces.Command{
		Argv: []string{"sh", "-c", "for i in 1 2 3 4 5 6 7 8 9 10 11 12; do sleep 1000 & done"}})
	if errors.Is(err, namespaces.ErrUnsupported) {
		if hint := kernel.Hint(err); !strings.Contains(hint, "pids controller") {
			t.Errorf("hint: %q", hint)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	pattern := "/sys/fs/cgroup/ninefold/" + strconv.Itoa(os.Getpid()) + "-*"
	if dirs, _ := filepath.Glob(pattern); len(dirs) != 1 {
		t.Errorf("cgroups while the session lives: %v", dirs)
	}
	if status, err := s.Wait(); err != nil || status.Code == 0 {
		t.Errorf("twelve processes fitted into a limit of ten: %v %v", status, err)
	}
	if dirs, _ := filepath.Glob(pattern); len(dirs) != 0 {
		t.Errorf("left behind: %v", dirs)
	}
}

// TestACommandHasBoundsOfItsOwn: what joins a session may be bounded more than
// the session is, and its variables may be others.
func TestACommandHasBoundsOfItsOwn(t *testing.T) {
	s, err := namespaces.Start(context.Background(), hostPlan(t, all, 12345, plan.Environment{Name: "HOME", Value: "/home/u"}), namespaces.Command{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	enter := func(script string) (namespaces.Status, error) {
		c, err := s.Enter(namespaces.Command{Argv: []string{"sh", "-c", script}, Tasks: 10, Environment: []string{"HOME=/", "MORE=a=b"}})
		if err != nil {
			t.Fatal(err)
		}
		return c.Wait()
	}
	if status, err := enter(`test "$HOME $MORE" = "/ a=b"`); err != nil || status.Code != 0 {
		t.Errorf("the variables: %v %v", status, err)
	}
	status, err := enter("for i in 1 2 3 4 5 6 7 8 9 10 11 12; do sleep 1000 & done")
	// A machine without the controller has no bound to offer.
	b, _ := os.ReadFile("/sys/fs/cgroup/cgroup.controllers")
	if bounded := slices.Contains(strings.Fields(string(b)), "pids"); err != nil || bounded == (status.Code == 0) {
		t.Errorf("twelve processes in a limit of ten (bounded: %t): %v %v", bounded, status, err)
	}
	if dirs, _ := filepath.Glob("/sys/fs/cgroup/ninefold/" + strconv.Itoa(os.Getpid()) + "-*"); len(dirs) != 0 {
		t.Errorf("left behind: %v", dirs)
	}
}

// TestUsersLinksDoNotLeadMounts: a user who owns a directory on the way to a
// target must not choose, by a link, what the mount hides.
func TestUsersLinksDoNotLeadMounts(t *testing.T) {
	home := t.TempDir()
	if err := os.Symlink("/etc", filepath.Join(home, "x")); err != nil {
		t.Fatal(err)
	}
	if err := os.Lchown(filepath.Join(home, "x"), 12345, 12345); err != nil {
		t.Fatal(err)
	}
	bind := func(target string) *plan.Plan {
		return hostPlan(t, all, 0, plan.Mkdir{Path: "/home/u", Mode: 0o755},
			plan.Bind{Source: home, Target: "/home/u", Flags: weak}, plan.Bind{Source: "/usr", Target: target, Flags: weak})
	}
	if _, err := namespaces.Start(context.Background(), bind("/home/u/x"), namespaces.Command{Argv: []string{"true"}}); err == nil || !strings.Contains(err.Error(), "operation not permitted") {
		t.Errorf("a user's link led a bind to /etc: %v", err)
	}
	// Root's own links do lead: /var/run is one to /run.
	if out, status := output(t, bind("/var/run/deep"), "test", "-d", "/run/deep/bin"); status.Code != 0 {
		t.Errorf("root's link was not followed: %v %s", status, out)
	}
}

func TestUnions(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new")
	if err := os.MkdirAll(filepath.Join(dir, "ssl"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"passwd", "ssl/deep"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("new\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for where, want := range map[plan.Where]string{plan.Before: "new", plan.After: "root"} {
		p := hostPlan(t, all, 0, plan.Bind{Source: dir, Target: "/etc", Where: where, Flags: weak})
		out, _ := output(t, p, "sh", "-c", "head -c4 /etc/passwd; echo; cat /etc/ssl/deep; ls /etc/group; touch /etc/x && echo wrote")
		if !strings.HasPrefix(out, want) || !strings.Contains(out, "\nnew\n/etc/group\n") || strings.Contains(out, "wrote") {
			t.Errorf("union %s: %s", where, out)
		}
	}
	p := hostPlan(t, all, 0, plan.Bind{Source: dir, Target: "/etc", Where: plan.Before, Create: true, Flags: weak})
	if _, status := output(t, p, "sh", "-c", "echo written > /etc/created"); status.Code != 0 {
		t.Errorf("cannot create in the union: %v", status)
	}
	if text, err := os.ReadFile(filepath.Join(dir, "created")); err != nil || string(text) != "written\n" {
		t.Errorf("what was created did not reach the source: %q %v", text, err)
	}
}

func TestBoundingSetIsWhatCanBeGained(t *testing.T) {
	p := hostPlan(t, all, 12345, plan.Privileges{Bounding: []string{"cap_net_raw"}})
	out, _ := output(t, p, "grep", "-E", "CapEff|CapPrm|CapAmb|CapBnd", "/proc/self/status")
	want := "CapPrm:\t0000000000000000\nCapEff:\t0000000000000000\nCapBnd:\t0000000000002000\nCapAmb:\t0000000000000000\n"
	if out != want {
		t.Errorf("capabilities:\n%s", out)
	}
}

// TestDevIsTheSameEachTime: the first session of a process makes its /dev, the
// later ones get copies of one, and what a plan adds to it is there.
func TestDevIsTheSameEachTime(t *testing.T) {
	const look = "ls -l /dev | awk '{print $1, $NF}' | tail -n +2; echo x >/dev/null && echo written; touch /dev/x || :"
	first, _ := output(t, hostPlan(t, all, 0), "sh", "-c", look)
	if !strings.Contains(first, "crw-rw-rw- null") || !strings.Contains(first, "written") || !strings.Contains(first, "Read-only file system") {
		t.Fatalf("first: %s", first)
	}
	for range 3 {
		if again, _ := output(t, hostPlan(t, all, 0), "sh", "-c", look); again != first {
			t.Errorf("later:\n%s\nfirst:\n%s", again, first)
		}
	}
	added, status := output(t, hostPlan(t, all, 0, plan.Link{Text: "null", Path: "/dev/mine"}), "sh", "-c", "echo x >/dev/mine; ls /dev/mine")
	if status.Code != 0 || added != "/dev/mine\n" {
		t.Errorf("what a plan adds: %v %s", status, added)
	}
}
