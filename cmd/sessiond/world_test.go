package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"ninefold/namespaces/kernel"
	"ninefold/sessiond/door"
	"ninefold/sessiond/journal"
	"ninefold/sessiond/process"
	"ninefold/tests/needs"
)

// The tests run in a mount namespace of their own with an empty /run, so that
// neither this machine's daemon nor its people notice them. The same binary
// serves as the PAM application or user manager that asks the door.
const (
	insideVariable = "NINEFOLD_TEST_INSIDE"
	clientVariable = "NINEFOLD_TEST_CLIENT"
)

func TestMain(m *testing.M) {
	switch {
	case os.Getenv(clientVariable) != "":
		os.Exit(client(os.Getenv(clientVariable)))
	case os.Geteuid() != 0 || os.Getenv(insideVariable) != "":
		os.Exit(m.Run())
	}
	if err := enterTestNamespace(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func enterTestNamespace() error {
	if err := kernel.Unshare(unix.CLONE_NEWNS); err != nil {
		return err
	}
	if err := kernel.ReceiveMounts(); err != nil {
		return err
	}
	run, err := kernel.NewMount("tmpfs", kernel.NoSuid|kernel.NoDev, kernel.Text("mode", "0755"))
	if err != nil {
		return err
	}
	at, err := kernel.OpenHost("/run")
	if err != nil {
		return err
	}
	if err := kernel.Attach(run, at, "/run"); err != nil {
		return err
	}
	// As systemd has it: what is mounted there later comes to be in views.
	if err := unix.Mount("", "/run", "", unix.MS_SHARED, ""); err != nil {
		return &os.PathError{Op: "share", Path: "/run", Err: err}
	}
	unix.Umask(0o022)
	return unix.Exec("/proc/self/exe", os.Args, append(os.Environ(), insideVariable+"=1"))
}

// world is one daemon with its configuration, and a person of its own.
type world struct {
	t       *testing.T
	dir     string
	uid     uint32
	program string
	log     string
	daemon  *exec.Cmd
}

// newWorld builds the daemon and makes a user whose default profile is plain.
func newWorld(t *testing.T) *world {
	t.Helper()
	needs.Root(t)
	w := &world{t: t, dir: t.TempDir(), uid: 20000 + uint32(os.Getpid()%40000)}
	w.program, w.log = filepath.Join(w.dir, "sessiond"), filepath.Join(w.dir, "log")
	build := exec.Command("go", "build", "-o", w.program, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	init, err := filepath.Abs("../../bin/ninefold-init")
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(init)
	if err != nil {
		t.Fatalf("%v (make build)", err)
	}
	w.write("ninefold-init", string(b), 0o755)
	w.write("config/ninefold.toml", "[login]\nchoose = [\"plain\", \"other\", \"isolated\"]\n[login.users]\nmia = \"plain\"\n", 0o644)
	w.write("config/profiles/plain.toml", "version = 1\nbase = \"host\"\n[environment]\nCOLOUR = \"blue\"\n", 0o644)
	w.write("config/profiles/other.toml", "version = 1\nbase = \"host\"\n", 0o644)
	w.write("config/profiles/isolated.toml", "version = 1\nbase = \"host\"\n[isolation]\npid = true\n", 0o644)
	passwd, err := os.ReadFile("/etc/passwd")
	if err != nil {
		t.Fatal(err)
	}
	w.write("passwd", fmt.Sprintf("%smia:x:%d:%d:Mia:/nonexistent:/bin/sh\n", passwd, w.uid, w.uid), 0o644)
	w.cover("/etc/passwd", filepath.Join(w.dir, "passwd"))
	t.Cleanup(w.end)
	return w
}

func (w *world) write(name, content string, mode os.FileMode) {
	w.t.Helper()
	name = filepath.Join(w.dir, name)
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(content), mode); err != nil {
		w.t.Fatal(err)
	}
}

// cover binds file over name until the test ends, in this namespace.
func (w *world) cover(name, file string) {
	w.t.Helper()
	from, err := kernel.OpenHost(file)
	if err != nil {
		w.t.Fatal(err)
	}
	defer from.Close()
	at, err := kernel.OpenHost(name)
	if err != nil {
		w.t.Fatal(err)
	}
	defer at.Close()
	tree, err := kernel.OpenTree(from, false)
	if err != nil {
		w.t.Fatal(err)
	}
	defer tree.Close()
	if err := kernel.Attach(tree, at, name); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		if err := unix.Unmount(name, unix.MNT_DETACH); err != nil {
			w.t.Error(err)
		}
	})
}

// start starts the daemon and waits until it answers.
func (w *world) start(more ...string) {
	w.t.Helper()
	log, err := os.OpenFile(w.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		w.t.Fatal(err)
	}
	defer log.Close()
	args := append([]string{"-debug", "-config", filepath.Join(w.dir, "config"), "-state", filepath.Join(w.dir, "state"),
		"-entries", filepath.Join(w.dir, "share"), "-userdb", filepath.Join(w.dir, "userdb")}, more...)
	w.daemon = exec.Command(w.program, args...)
	w.daemon.Env = []string{"PATH=" + os.Getenv("PATH")}
	w.daemon.Stderr = log
	if err := w.daemon.Start(); err != nil {
		w.t.Fatal(err)
	}
	w.until("the daemon answers", func() bool {
		_, _, err := door.Ask(door.Path, door.Request{Op: door.Ping})
		return err == nil
	})
}

func (w *world) stop(sig syscall.Signal) {
	if w.daemon == nil {
		return
	}
	_ = w.daemon.Process.Signal(sig) // it may have ended
	err := w.daemon.Wait()
	if sig == unix.SIGTERM && err != nil {
		w.t.Errorf("the daemon ended with %v\n%s", err, w.logged())
	}
	w.daemon = nil
}

func (w *world) end() {
	w.stop(unix.SIGTERM)
	for _, pid := range w.holders() {
		_ = unix.Kill(pid, unix.SIGKILL)
	}
	if w.t.Failed() {
		w.t.Log(w.logged())
	}
}

func (w *world) logged() string {
	b, err := os.ReadFile(w.log)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

func (w *world) until(what string, ok func() bool) {
	w.t.Helper()
	for deadline := time.Now().Add(15 * time.Second); !ok(); {
		if time.Now().After(deadline) {
			w.t.Fatalf("not within 15 s: %s\n%s", what, w.logged())
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// holders are the live holders of the world's user.
func (w *world) holders() []int {
	names, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		w.t.Fatal(err)
	}
	var out []int
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil || !bytes.HasPrefix(b, []byte("ninefold-init\x00")) || !bytes.Contains(b, []byte("\x00-u\x00"+strconv.Itoa(int(w.uid))+"\x00")) {
			continue
		}
		pid, err := strconv.Atoi(strings.Split(name, "/")[2])
		if err != nil {
			w.t.Fatal(err)
		}
		if _, err := process.StartTime(pid); err == nil {
			out = append(out, pid)
		}
	}
	return out
}

func (w *world) records() []*journal.Record {
	w.t.Helper()
	j, err := journal.Open("/run/ninefold/state/views")
	if err != nil {
		w.t.Fatal(err)
	}
	records, problems, err := j.Read()
	if err != nil || len(problems) > 0 {
		w.t.Fatalf("the journal: %v %v", problems, err)
	}
	return records
}

func (w *world) ask(op door.Op, choice string) door.Reply {
	w.t.Helper()
	q := door.Request{Op: op, UID: w.uid, User: "mia", Service: "su", Choice: choice}
	r, files, err := door.Ask(door.Path, q)
	// A machine that is busy with other tests may answer late, as a login then
	// stays on the host; a daemon that hangs does so every time.
	for range 2 {
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			break
		}
		r, files, err = door.Ask(door.Path, q)
	}
	if err != nil {
		w.t.Fatalf("%v\n%s", err, w.logged())
	}
	for _, f := range files {
		f.Close()
	}
	return r
}

// guest is a process that asked the door and is where it was let.
type guest struct {
	cmd   *exec.Cmd
	in    io.WriteCloser
	out   *bufio.Reader
	reply string
}

// login starts a process that asks, enters and stays until leave: as root for
// a session, as the user for the manager in cgroup.
func (w *world) login(op door.Op, choice, cgroup string) *guest {
	w.t.Helper()
	c := exec.Command("/proc/self/exe")
	c.Env = append(os.Environ(), fmt.Sprintf("%s=%d %d %s", clientVariable, op, w.uid, choice))
	if cgroup != "" {
		c.Env = append(c.Env, "NINEFOLD_TEST_CGROUP="+cgroup)
	}
	c.Stderr = os.Stderr
	g := &guest{cmd: c}
	var err error
	if g.in, err = c.StdinPipe(); err != nil {
		w.t.Fatal(err)
	}
	out, err := c.StdoutPipe()
	if err != nil {
		w.t.Fatal(err)
	}
	g.out = bufio.NewReader(out)
	if err := c.Start(); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(g.leave)
	g.reply = g.line(w.t)
	return g
}

func (g *guest) line(t *testing.T) string {
	t.Helper()
	s, err := g.out.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(s)
}

// sh runs a line of shell in the guest and returns its one line of output.
func (g *guest) sh(t *testing.T, line string) string {
	t.Helper()
	if _, err := io.WriteString(g.in, line+"\n"); err != nil {
		t.Fatal(err)
	}
	return g.line(t)
}

func (g *guest) leave() {
	g.in.Close()
	_ = g.cmd.Wait() // the shell's last status
}

// client is the other end of login. It does what the module does: ask, take
// the calling thread into the namespace, and become what it was going to be.
func client(spec string) int {
	runtime.LockOSThread()
	f := strings.SplitN(spec, " ", 3)
	op, _ := strconv.Atoi(f[0])
	uid, _ := strconv.Atoi(f[1])
	if dir := os.Getenv("NINEFOLD_TEST_CGROUP"); dir != "" {
		if err := os.WriteFile(filepath.Join(dir, "cgroup.procs"), []byte("0"), 0); err != nil {
			fmt.Println(err)
			return 1
		}
		// The kernel tells the daemon the effective uid.
		if err := syscall.Seteuid(uid); err != nil {
			fmt.Println(err)
			return 1
		}
	}
	r, files, err := door.Ask(door.Path, door.Request{Op: door.Op(op), UID: uint32(uid), User: "mia", Service: "su", Choice: f[2]})
	if err == nil {
		err = syscall.Seteuid(0)
	}
	if err == nil && len(files) > 0 {
		if err = unix.Unshare(unix.CLONE_FS); err == nil {
			err = unix.Setns(int(files[slices.Index(r.FDs, door.FDMount)].Fd()), unix.CLONE_NEWNS)
		}
	}
	if err != nil {
		fmt.Println(err)
		return 1
	}
	fmt.Printf("verdict=%d view=%s profile=%s message=%s\n", r.Verdict, r.View, r.Profile, r.Message)
	fmt.Fprintln(os.Stderr, unix.Exec("/bin/sh", []string{"sh"}, append(r.Environment, "PATH=/usr/bin:/bin")))
	return 1
}
