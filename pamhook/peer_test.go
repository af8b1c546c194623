package pamhook

import (
	"net"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"ninefold/sessiond/door"
)

// peer listens at the door in the daemon's place.
type peer struct {
	t      testing.TB
	l      *net.UnixListener
	mu     sync.Mutex
	asked  []door.Request
	answer func(door.Request) (door.Reply, []*os.File)
	raw    func(c *net.UnixConn, r door.Request) // instead of answer, where it is set
	open   []*net.UnixConn
}

// listen starts a peer that answers by answer until the test ends.
func listen(t testing.TB, answer func(door.Request) (door.Reply, []*os.File)) *peer {
	t.Helper()
	_ = os.Remove("/run/ninefold/door.failed")
	l, err := door.Listen(door.Path)
	if err != nil {
		t.Fatal(err)
	}
	p := &peer{t: t, l: l, answer: answer}
	var done sync.WaitGroup
	done.Go(func() {
		for {
			c, err := l.AcceptUnix()
			if err != nil {
				return
			}
			p.serve(c)
		}
	})
	t.Cleanup(func() {
		l.Close()
		done.Wait()
		for _, c := range p.open {
			c.Close()
		}
		_ = os.Remove(door.Path)
		_ = os.Remove("/run/ninefold/door.failed")
	})
	return p
}

// listenRaw starts a peer that does with a connection as it likes. It closes none.
func listenRaw(t testing.TB, raw func(c *net.UnixConn, r door.Request)) *peer {
	p := listen(t, nil)
	p.mu.Lock()
	p.raw = raw
	p.mu.Unlock()
	return p
}

func (p *peer) serve(c *net.UnixConn) {
	buf := make([]byte, 4096)
	n, err := c.Read(buf)
	if err != nil {
		c.Close()
		return
	}
	r, err := door.DecodeRequest(buf[:n])
	if err != nil {
		p.t.Errorf("the client's request: %v", err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked = append(p.asked, r)
	if p.raw != nil {
		p.open = append(p.open, c)
		p.raw(c, r)
		return
	}
	defer c.Close()
	reply, files := p.answer(r)
	reply.Op = r.Op
	b, err := reply.Encode()
	if err != nil {
		p.t.Error(err)
		return
	}
	send(p.t, c, b, files)
	for _, f := range files {
		f.Close()
	}
}

func send(t testing.TB, c *net.UnixConn, b []byte, files []*os.File) {
	var control []byte
	if len(files) > 0 {
		var fds []int
		for _, f := range files {
			fds = append(fds, int(f.Fd()))
		}
		control = unix.UnixRights(fds...)
	}
	if _, _, err := c.WriteMsgUnix(b, control, nil); err != nil {
		t.Logf("the peer's answer did not arrive: %v", err)
	}
}

func (p *peer) requests() []door.Request {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.asked)
}

// ops are the questions in the order in which they came.
func (p *peer) ops() []door.Op {
	var ops []door.Op
	for _, r := range p.requests() {
		ops = append(ops, r.Op)
	}
	return ops
}

// view is a held mount namespace with a marker in /mnt.
type view struct {
	t   testing.TB
	pid int
}

const marker = "/mnt/in-the-view"

func newView(t testing.TB) *view {
	return hold(t, &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS})
}

// newUntrustedView is a view with a user namespace, which root made, and which
// has every id that the host has.
func newUntrustedView(t testing.TB) *view {
	all := []syscall.SysProcIDMap{{ContainerID: 0, HostID: 0, Size: 65536}}
	return hold(t, &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS, UidMappings: all, GidMappings: all})
}

func hold(t testing.TB, attr *syscall.SysProcAttr) *view {
	t.Helper()
	attr.Pdeathsig = 0 // it would follow the thread that started it
	cmd := exec.Command("/bin/sleep", "600")
	cmd.SysProcAttr = attr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	v := &view{t, cmd.Process.Pid}
	v.run("mount", "-t", "tmpfs", "view", "/mnt")
	v.run("touch", marker)
	return v
}

// run runs a command in the view as its root.
func (v *view) run(argv ...string) {
	v.t.Helper()
	args := append([]string{"-t", strconv.Itoa(v.pid), "-U", "-m", "--preserve-credentials", "--"}, argv...)
	if out, err := exec.Command("nsenter", args...).CombinedOutput(); err == nil {
		return
	} else if out2, err := exec.Command("nsenter", append([]string{"-t", strconv.Itoa(v.pid), "-m", "--"}, argv...)...).CombinedOutput(); err != nil {
		v.t.Fatalf("%v in the view: %v\n%s%s", argv, err, out, out2)
	}
}

// ns opens a namespace of the view, such as "mnt".
func (v *view) ns(name string) *os.File {
	f, err := os.Open("/proc/" + strconv.Itoa(v.pid) + "/ns/" + name)
	if err != nil {
		v.t.Error(err)
	}
	return f
}

// id is how /proc/self/ns/mnt reads inside.
func (v *view) id() string {
	s, err := os.Readlink("/proc/" + strconv.Itoa(v.pid) + "/ns/mnt")
	if err != nil {
		v.t.Error(err)
	}
	return s
}

// enter is the daemon's answer that leads into v.
func (v *view) enter(env ...string) func(door.Request) (door.Reply, []*os.File) {
	return func(r door.Request) (door.Reply, []*os.File) {
		reply := door.Reply{Verdict: door.Enter, View: "v1", Profile: "desk"}
		if r.Op == door.Prepare {
			return reply, nil
		}
		reply.Environment = env
		reply.FDs = []door.FDKind{door.FDMount}
		return reply, []*os.File{v.ns("mnt")}
	}
}

// say is an answer without a way in.
func say(v door.Verdict, message string) func(door.Request) (door.Reply, []*os.File) {
	return func(door.Request) (door.Reply, []*os.File) { return door.Reply{Verdict: v, Message: message}, nil }
}
