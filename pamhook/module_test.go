package pamhook

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"ninefold/sessiond/door"
	"ninefold/tests/needs"
)

const control = "[success=ok perm_denied=die default=ignore]"

// service writes a PAM service with the module's two lines, each with options,
// around what else the stack holds.
func service(t testing.TB, name, module, options string, between ...string) {
	t.Helper()
	lines := []string{
		"auth sufficient pam_rootok.so", "auth required pam_deny.so", "account required pam_permit.so", "password required pam_deny.so",
		"session required pam_permit.so",
		fmt.Sprintf("session %s %s prepare %s", control, module, options),
	}
	for _, b := range between {
		lines = append(lines, "session optional "+b)
	}
	lines = append(lines, fmt.Sprintf("session %s %s %s", control, module, options))
	stack(t, name, lines...)
}

func stack(t testing.TB, name string, lines ...string) {
	t.Helper()
	path := "/etc/pam.d/" + name
	if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.Remove(path) })
}

// where is a command that tells where it runs and what it was given.
const where = "readlink /proc/self/ns/mnt; ls /mnt; pwd; env | grep ^NINEFOLD_ | sort; ls -l /proc/self/fd >&2"

func su(t testing.TB, user string, more ...string) result {
	t.Helper()
	return finish(t, exec.Command("su", append(append([]string{user}, more...), "-c", where)...))
}

func here(t testing.TB) string {
	t.Helper()
	s, err := os.Readlink("/proc/self/ns/mnt")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSuEntersTheView(t *testing.T) {
	needs.Root(t)
	v := newView(t)
	p := listen(t, v.enter("NINEFOLD_PROFILE=desk", "NINEFOLD_VIEW=v1"))
	service(t, "su", built(t, "pam_ninefold.so"), "")
	cmd := exec.Command("su", person, "-c", where)
	cmd.Dir = scratch
	r := finish(t, cmd)
	want := v.id() + "\nin-the-view\n" + scratch + "\nNINEFOLD_PROFILE=desk\nNINEFOLD_VIEW=v1\n"
	if r.code != 0 || r.out != want {
		t.Errorf("exit %d, got\n%swant\n%s%s", r.code, r.out, want, r.errors)
	}
	lacks(t, "stderr", r.errors, "ninefold:")
	lacks(t, "the command's descriptors", r.errors, "socket:")
	lacks(t, "the command's descriptors", r.errors, "mnt:[")
	if got := p.ops(); !slices.Equal(got, []door.Op{door.Prepare, door.Session}) {
		t.Errorf("asked %v", got)
	}
	for _, q := range p.requests() {
		if q.User != person || q.UID != personUID || q.Service != "su" {
			t.Errorf("request %+v", q)
		}
	}
}

func TestSuGoesToTheRootWhereTheDirectoryIsNotInTheView(t *testing.T) {
	needs.Root(t)
	v := newView(t)
	listen(t, v.enter())
	service(t, "su", built(t, "pam_ninefold.so"), "")
	dir := tempDir(t)
	v.run("rmdir", dir) // the scratch tmpfs is the same one inside, so hide it
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	v.run("mount", "-t", "tmpfs", "view", scratch)
	cmd := exec.Command("su", person, "-c", where)
	cmd.Dir = dir
	r := finish(t, cmd)
	contains(t, "stdout", r.out, "in-the-view\n/\n")
}

func TestLoginEntersTheView(t *testing.T) {
	needs.Root(t)
	v := newView(t)
	listen(t, v.enter("NINEFOLD_PROFILE=desk"))
	service(t, "login", built(t, "pam_ninefold.so"), "")
	cmd := exec.Command("script", "-qec", "login -f "+person, "/dev/null")
	cmd.Stdin = strings.NewReader(where + "\nexit\n")
	r := finish(t, cmd)
	contains(t, "the terminal", r.out, v.id())
	contains(t, "the terminal", r.out, "in-the-view")
	contains(t, "the terminal", r.out, "NINEFOLD_PROFILE=desk")
}

// Whatever does not lead into a view leaves the login on the host, with one
// line for the person unless the host is what was asked for.
func TestWhatFailsStaysOnTheHost(t *testing.T) {
	needs.Root(t)
	module := built(t, "pam_ninefold.so")
	for name, c := range map[string]struct {
		start   func(t *testing.T)
		message string
		denied  string // with on-failure=deny; "" where that lets the login in
	}{
		"nobody listens":     {func(t *testing.T) { os.Remove(door.Path) }, "sessiond does not run; you are on the host", "sessiond does not run; this login is refused"},
		"no /run/ninefold":   {func(t *testing.T) { away(t, "/run/ninefold") }, "sessiond does not run; you are on the host", "refused"},
		"host":               {func(t *testing.T) { listen(t, say(door.Host, "")) }, "", ""},
		"host with a reason": {func(t *testing.T) { listen(t, say(door.Host, "the image is not there")) }, "the image is not there", ""},
		"an escape sequence": {func(t *testing.T) {
			listenRaw(t, func(c *net.UnixConn, r door.Request) {
				b, _ := door.Reply{Op: r.Op, Verdict: door.Host, Message: "a#[31mb"}.Encode()
				b[slices.Index(b, '#')] = 0x1b
				send(t, c, b, nil)
			})
		}, "a?[31mb", ""},
		"closed":          {func(t *testing.T) { listenRaw(t, func(c *net.UnixConn, _ door.Request) { c.Close() }) }, "sessiond ended before it answered; you are on the host", "refused"},
		"another's door":  {strangersDoor, "not root's; you are on the host", "refused"},
		"a file for a fd": {func(t *testing.T) { listen(t, leads(t, "/etc/passwd")) }, "the view could not be entered; you are on the host", "refused"},
		"a pid namespace": {func(t *testing.T) { listen(t, leads(t, "/proc/self/ns/mnt", "/proc/self/ns/pid")) }, "the view could not be entered; you are on the host", "refused"},
		"a user namespace": {func(t *testing.T) {
			listen(t, func(r door.Request) (door.Reply, []*os.File) {
				reply, files := leads(t, "/proc/self/ns/mnt", "/proc/self/ns/user")(r)
				if r.Op != door.Prepare {
					reply.FDs = []door.FDKind{door.FDMount, door.FDUser}
				}
				return reply, files
			})
		}, "the view could not be entered; you are on the host", "refused"},
	} {
		t.Run(name, func(t *testing.T) {
			c.start(t)
			service(t, "su", module, "")
			r := su(t, person)
			if r.code != 0 || !strings.HasPrefix(r.out, here(t)+"\n") {
				t.Errorf("exit %d, not on the host:\n%s%s", r.code, r.out, r.errors)
			}
			lacks(t, "the environment", r.out, "NINEFOLD_")
			if got := strings.Count(r.errors, "ninefold: "); c.message != "" && got != 1 || c.message == "" && got != 0 {
				t.Errorf("%d lines for the person:\n%s", got, r.errors)
			}
			contains(t, "stderr", r.errors, c.message)

			service(t, "su", module, "on-failure=deny")
			r = su(t, person)
			if (r.code == 0) != (c.denied == "") {
				t.Errorf("on-failure=deny: exit %d\n%s%s", r.code, r.out, r.errors)
			}
			contains(t, "stderr", r.errors, c.denied)
		})
	}
}

// leads answers with files of this process in the order mount, pid.
func leads(t testing.TB, paths ...string) func(door.Request) (door.Reply, []*os.File) {
	return func(r door.Request) (door.Reply, []*os.File) {
		reply := door.Reply{Verdict: door.Enter, Environment: []string{"NINEFOLD_PROFILE=desk"}}
		if r.Op == door.Prepare {
			return reply, nil
		}
		var files []*os.File
		for i, p := range paths {
			f, err := os.Open(p)
			if err != nil {
				t.Error(err)
			}
			files = append(files, f)
			reply.FDs = append(reply.FDs, []door.FDKind{door.FDMount, door.FDPID}[i])
		}
		return reply, files
	}
}

// away takes a directory away until the test ends.
func away(t testing.TB, dir string) {
	if err := os.Rename(dir, dir+".away"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Rename(dir+".away", dir) })
}

// strangersDoor puts a door there that does not belong to root: the kernel
// keeps the listener's uid as of listen(2).
func strangersDoor(t *testing.T) {
	p := listen(t, say(door.Refuse, "never heard"))
	p.l.SetUnlinkOnClose(false)
	p.l.Close()
	os.Remove(door.Path)
	if err := os.Chmod("/run/ninefold", 0o777); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Chmod("/run/ninefold", 0o755) })
	ready, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer ready.Close()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = []string{"NINEFOLD_PAMHOOK_LISTEN=" + door.Path, inside + "=1"}
	cmd.ExtraFiles = []*os.File{w}
	cmd.SysProcAttr = asUser(personUID)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	if _, err := ready.Read(make([]byte, 1)); err != nil {
		t.Fatal("the stranger's door does not open: ", err)
	}
}

func TestRefusal(t *testing.T) {
	needs.Root(t)
	listen(t, say(door.Refuse, "profile 'guest' is not for you"))
	service(t, "su", built(t, "pam_ninefold.so"), "")
	r := su(t, person)
	if r.code == 0 || r.out != "" {
		t.Errorf("exit %d, the command ran:\n%s", r.code, r.out)
	}
	contains(t, "stderr", r.errors, "ninefold: profile 'guest' is not for you")
}

// Who never enters costs the daemon nothing, whatever it would answer.
func TestWhoNeverEnters(t *testing.T) {
	needs.Root(t)
	p := listen(t, newView(t).enter())
	module := built(t, "pam_ninefold.so")
	service(t, "su", module, "")
	for _, user := range []string{"root", system} {
		if r := su(t, user); r.code != 0 || !strings.HasPrefix(r.out, here(t)+"\n") {
			t.Errorf("%s is not on the host: %+v", user, r)
		}
	}
	service(t, "nf-greeter", module, "")
	if r := pamtester(t, "nf-greeter", "-E", "XDG_SESSION_CLASS=greeter"); r.code != 0 {
		t.Errorf("%+v", r)
	}
	service(t, "systemd-user", module, "")
	if r := pamtester(t, "systemd-user"); r.code != 0 {
		t.Errorf("%+v", r)
	}
	if got := p.ops(); len(got) != 0 {
		t.Errorf("the daemon was asked %v", got)
	}
	if err := replace("/etc/login.defs", "# UID_MIN 10\nUID_MIN\t\t5000 \nUID_MAX 60000"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount("/etc/login.defs", 0) })
	if r := su(t, person); r.code != 0 || !strings.HasPrefix(r.out, here(t)+"\n") || len(p.ops()) != 0 {
		t.Errorf("below UID_MIN: %+v", r)
	}
}

// A daemon that hangs is waited for once.
func TestAHangingDaemonIsAskedOnce(t *testing.T) {
	needs.Root(t)
	module := built(t, "pam_ninefold.so")
	p := listenRaw(t, func(*net.UnixConn, door.Request) {})
	service(t, "su", module, "")
	for range 3 {
		r := su(t, person)
		if r.code != 0 || !strings.HasPrefix(r.out, here(t)+"\n") {
			t.Errorf("not on the host: %+v", r)
		}
		contains(t, "stderr", r.errors, "ninefold: sessiond did not answer in time; you are on the host")
	}
	if got := p.ops(); !slices.Equal(got, []door.Op{door.Prepare}) {
		t.Errorf("asked %v", got)
	}
	old := unix.NsecToTimeval(0)
	if err := unix.Utimes("/run/ninefold/door.failed", []unix.Timeval{old, old}); err != nil {
		t.Error(err)
	}
	p.mu.Lock()
	p.raw, p.answer = nil, newView(t).enter()
	p.mu.Unlock()
	r := su(t, person)
	contains(t, "stdout after it came back", r.out, "in-the-view")
	if _, err := os.Stat("/run/ninefold/door.failed"); err == nil {
		t.Error("the failure is remembered although the daemon answers again")
	}
}

// Beside a user manager that runs, nobody waits for what is only made ready.
func TestBesideAManagerTheFirstQuestionIsNotWaitedFor(t *testing.T) {
	needs.Root(t)
	if err := unix.Mount("pamhook", "/sys/fs/cgroup", "tmpfs", 0, "mode=0755"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Unmount("/sys/fs/cgroup", unix.MNT_DETACH) })
	if err := os.MkdirAll(fmt.Sprintf("/sys/fs/cgroup/user.slice/user-%d.slice/user@%d.service", personUID, personUID), 0o755); err != nil {
		t.Fatal(err)
	}
	service(t, "su", built(t, "pam_ninefold.so"), "")
	v := newView(t)
	p := listenRaw(t, func(c *net.UnixConn, r door.Request) {
		if r.Op == door.Prepare {
			return // never answered
		}
		reply, files := v.enter()(r)
		reply.Op = r.Op
		b, err := reply.Encode()
		if err != nil {
			t.Error(err)
		}
		send(t, c, b, files)
	})
	r := su(t, person)
	contains(t, "stdout", r.out, "in-the-view")
	lacks(t, "stderr", r.errors, "ninefold:")
	if got := p.ops(); !slices.Equal(got, []door.Op{door.Prepare, door.Session}) {
		t.Errorf("asked %v", got)
	}
	// One that hangs costs its second once all the same.
	p.mu.Lock()
	p.asked, p.raw = nil, func(*net.UnixConn, door.Request) {}
	p.mu.Unlock()
	for range 2 {
		contains(t, "stderr", su(t, person).errors, "ninefold: sessiond did not answer in time; you are on the host")
	}
	if got := p.ops(); !slices.Equal(got, []door.Op{door.Prepare, door.Session}) {
		t.Errorf("one that hangs was asked %v", got)
	}
}

// With a full backlog a blocking connect(2) would never return.
func TestAStoppedDaemonWithAFullBacklog(t *testing.T) {
	needs.Root(t)
	_ = os.Remove(door.Path)
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: door.Path}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.Remove(door.Path); os.Remove("/run/ninefold/door.failed") })
	if err := unix.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	for full := false; !full; {
		c, err := unix.Socket(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(c)
		full = unix.Connect(c, &unix.SockaddrUnix{Name: door.Path}) != nil
	}
	service(t, "su", built(t, "pam_ninefold.so"), "")
	r := su(t, person)
	if r.code != 0 || !strings.HasPrefix(r.out, here(t)+"\n") {
		t.Errorf("not on the host: %+v", r)
	}
	contains(t, "stderr", r.errors, "sessiond did not answer in time")
}

func TestChoice(t *testing.T) {
	needs.Root(t)
	p := listen(t, say(door.Host, ""))
	module := built(t, "pam_ninefold.so")
	for _, c := range []struct{ options, env, want string }{
		{"", "", ""},
		{"profile=kiosk", "", "kiosk"},
		{"profile=kiosk", "XDG_SESSION_DESKTOP=ninefold-plasma", "plasma"},
		{"profile=kiosk", "XDG_SESSION_DESKTOP=plasma", "kiosk"},
		{"", "DESKTOP_SESSION=ninefold-dev+xfce", "dev+xfce"},
		{"profile=kiosk", "NINEFOLD_PROFILE=dev", "dev"},
		{"", "NINEFOLD_PROFILE=a\x1bb\n", "?"},
		{"", "NINEFOLD_PROFILE=" + strings.Repeat("x", 100000), "?"},
		{"", "NINEFOLD_PROFILE=" + strings.Repeat("x", 127), strings.Repeat("x", 127)},
	} {
		service(t, "nf-choice", module, c.options, "pam_exec.so stdout /usr/bin/env")
		args := []string{}
		if c.env != "" {
			args = append(args, "-E", c.env)
		}
		before := len(p.requests())
		if r := pamtester(t, "nf-choice", args...); r.code != 0 {
			t.Fatalf("%.60q: %+v", c.env, r)
		}
		asked := p.requests()[before:]
		if len(asked) != 2 || asked[0].Choice != c.want || asked[1].Choice != c.want {
			t.Errorf("%s %.60q: asked %.200v", c.options, c.env, asked)
		}
	}
}

func pamtester(t testing.TB, svc string, args ...string) result {
	t.Helper()
	return finish(t, exec.Command("pamtester", append(args, svc, person, "open_session", "close_session")...))
}

// What asked for a view must not look like being in one afterwards.
func TestTheWishDoesNotStay(t *testing.T) {
	needs.Root(t)
	listen(t, say(door.Host, "no"))
	module := built(t, "pam_ninefold.so")
	service(t, "nf-wish", module, "")
	lines, _ := os.ReadFile("/etc/pam.d/nf-wish")
	stack(t, "nf-wish", string(lines), "session optional pam_exec.so stdout /usr/bin/env")
	r := pamtester(t, "nf-wish", "-E", "NINEFOLD_PROFILE=dev")
	contains(t, "pam_exec", r.out+r.errors, "PAM_SERVICE=nf-wish")
	lacks(t, "the environment", r.out+r.errors, "NINEFOLD_PROFILE")
}

// The session's names go along, as far as they are text.
func TestWhatIsTold(t *testing.T) {
	needs.Root(t)
	p := listen(t, say(door.Host, ""))
	service(t, "nf-told", built(t, "pam_ninefold.so"), "", "pam_env.so")
	r := finish(t, exec.Command("pamtester", "-I", "tty=tty7\x07", "-I", "rhost="+strings.Repeat("h", 300), "-E", "XDG_SESSION_ID=c42",
		"-E", "XDG_SESSION_CLASS=user", "nf-told", person, "open_session"))
	if r.code != 0 || len(p.requests()) != 2 {
		t.Fatalf("%+v", r)
	}
	q := p.requests()[1]
	want := door.Request{Version: 1, Op: door.Session, UID: personUID, User: person, Service: "nf-told", TTY: "tty7?",
		Rhost: strings.Repeat("h", 255), Session: "c42", Class: "user"}
	if q != want {
		t.Errorf("told %+v\nwant %+v", q, want)
	}
}

// A display manager has threads, which share their root and working directory
// until the module takes its own.
func TestAThreadedProgram(t *testing.T) {
	needs.Root(t)
	v := newView(t)
	listen(t, v.enter())
	service(t, "nf-threads", built(t, "pam_ninefold.so"), "")
	program := filepath.Join(t.TempDir(), "threaded")
	if out, err := exec.Command("gcc", "-o", program, "testdata/threaded.c", "-lpam", "-lpam_misc", "-pthread").CombinedOutput(); err != nil {
		t.Fatalf("gcc: %v\n%s", err, out)
	}
	r := finish(t, exec.Command(program, "nf-threads", person, where))
	if r.code != 0 || !strings.HasPrefix(r.out, v.id()+"\nin-the-view\n") {
		t.Errorf("not in the view: %+v", r)
	}
}
