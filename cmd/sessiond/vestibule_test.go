package main

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"ninefold/sessiond/door"
)

// newLoginWorld is a world in which su is the PAM application, with the real
// module and wrapper, and mia has a home.
func newLoginWorld(t *testing.T, config string) *world {
	t.Helper()
	w := newWorld(t)
	w.grant("ninefold-enter")
	module, err := filepath.Abs("../../bin/pam_ninefold.so")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll("/run/home", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll("/run/marks", 0o777); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll("/run/home"); os.RemoveAll("/run/marks") })
	if err := os.Chmod("/run/marks", 0o777); err != nil {
		t.Fatal(err)
	}
	w.chown("/run/home")
	passwd, err := os.ReadFile("/etc/passwd")
	if err != nil {
		t.Fatal(err)
	}
	w.write("passwd", strings.Replace(string(passwd), "/nonexistent:/bin/sh\n", "/run/home:/bin/sh\n", 1), 0o644)
	const control = "[success=ok perm_denied=die default=ignore]"
	w.write("where", "#!/bin/bash\necho \"app $(id -u) $(readlink /proc/self/ns/mnt /proc/self/ns/user | tr '\\n' ' ')\" > /run/marks/app\n", 0o755)
	w.write("su", strings.Join([]string{
		"auth sufficient pam_rootok.so", "account required pam_permit.so", "session required pam_permit.so",
		"session " + control + " " + module + " prepare", "session " + control + " " + module,
		"session optional pam_exec.so " + filepath.Join(w.dir, "where"),
	}, "\n")+"\n", 0o644)
	w.cover("/etc/pam.d/su", filepath.Join(w.dir, "su"))
	w.write("config/ninefold.toml", config, 0o644)
	w.write("config/profiles/loose.toml", "version = 1\nbase = \"host\"\n[environment]\nCOLOUR = \"red\"\n", 0o644)
	w.chown(filepath.Join(w.dir, "config/profiles/loose.toml"))
	return w
}

// grant puts a program of bin with its file capabilities beside the daemon.
func (w *world) grant(name string) {
	w.t.Helper()
	b, err := os.ReadFile("../../bin/" + name)
	if err != nil {
		w.t.Fatalf("%v (make build)", err)
	}
	w.write(name, string(b), 0o755)
	if out, err := exec.Command("setcap", "cap_sys_admin,cap_sys_chroot=p", filepath.Join(w.dir, name)).CombinedOutput(); err != nil {
		w.t.Fatalf("%v\n%s", err, out)
	}
}

func (w *world) chown(name string) {
	w.t.Helper()
	if err := os.Chown(name, int(w.uid), int(w.uid)); err != nil {
		w.t.Fatal(err)
	}
}

// su logs mia in and runs line. What the application said of itself, after it
// came through the module, is part of out.
func (w *world) su(line string) (out, errs string) {
	w.t.Helper()
	c := exec.Command("su", "mia", "-c", line)
	c.Env = []string{"PATH=/usr/bin:/bin"}
	c.Dir = "/"
	var o, e bytes.Buffer
	c.Stdout, c.Stderr = &o, &e
	if err := c.Run(); err != nil {
		w.t.Errorf("su: %v\n%s%s", err, o.String(), e.String())
	}
	app, err := os.ReadFile("/run/marks/app")
	if err != nil {
		w.t.Error(err)
	}
	return string(app) + o.String(), e.String()
}

// stay logs mia in until the test ends and returns the holder of the view.
func (w *world) stay() (holder string) {
	w.t.Helper()
	c := exec.Command("su", "mia", "-c", "echo in >&2; read x")
	c.Dir = "/"
	in, err := c.StdinPipe()
	if err != nil {
		w.t.Fatal(err)
	}
	errs, err := c.StderrPipe()
	if err != nil {
		w.t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { in.Close(); _ = c.Wait() })
	if line, err := bufio.NewReader(errs).ReadString('\n'); err != nil || line != "in\n" {
		w.t.Fatalf("%q %v\n%s", line, err, w.logged())
	}
	holders := w.holders()
	if len(holders) != 1 {
		w.t.Fatalf("%d holders\n%s", len(holders), w.logged())
	}
	return strconv.Itoa(holders[0])
}

func (w *world) wants(out string, wanted ...string) {
	w.t.Helper()
	for _, s := range wanted {
		if !strings.Contains(out, s) {
			w.t.Errorf("lacks %q:\n%s", s, out)
		}
	}
}

// what a shell tells of itself; dd shows that a device and a terminal work.
const itself = `echo "shell $(id -u) $(readlink /proc/self/ns/mnt /proc/self/ns/user | tr '\n' ' ')"; grep -E '^(Cap|NoNew)' /proc/self/status; env; echo x > /dev/null && echo null`

var powerless = []string{"NoNewPrivs:\t1\n", "CapInh:\t0000000000000000\n", "CapPrm:\t0000000000000000\n", "CapEff:\t0000000000000000\n",
	"CapBnd:\t0000000000000000\n", "CapAmb:\t0000000000000000\n"}

// place finds the line of who in out and returns its uid and namespaces.
func place(t *testing.T, out, who string) (uid, mnt, user string) {
	t.Helper()
	for line := range strings.Lines(out) {
		if f := strings.Fields(line); len(f) == 4 && f[0] == who {
			return f[1], f[2], f[3]
		}
	}
	t.Fatalf("%s does not say where it is:\n%s", who, out)
	return
}

func namespaceOf(t *testing.T, kind string, pid string) string {
	t.Helper()
	s, err := os.Readlink("/proc/" + pid + "/ns/" + kind)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestAnUntrustedViewIsEnteredAfterTheChangeOfUID(t *testing.T) {
	w := newLoginWorld(t, "[login.users]\nmia = \"loose\"\n")
	// As on a machine; the namespace of these tests has it private.
	if err := unix.Mount("", "/run", "", unix.MS_SHARED, ""); err != nil {
		t.Fatal(err)
	}
	w.start()
	holder := w.stay()
	out, errs := w.su(itself)
	if errs != "" {
		t.Errorf("stderr: %s", errs)
	}
	w.wants(out, append(powerless, "NINEFOLD_PROFILE=loose\n", "COLOUR=red\n", "NINEFOLD_VIEW=", "\nnull\n")...)
	uid, mnt, user := place(t, out, "shell")
	if uid != strconv.Itoa(int(w.uid)) || mnt != namespaceOf(t, "mnt", holder) || user != namespaceOf(t, "user", holder) || user == namespaceOf(t, "user", "self") {
		t.Errorf("the shell is uid %s in %s %s", uid, mnt, user)
	}
	appUID, appMnt, appUser := place(t, out, "app")
	if appUID != "0" || appMnt == mnt || appUser != namespaceOf(t, "user", "self") || appMnt == namespaceOf(t, "mnt", "self") {
		t.Errorf("the application is uid %s in %s %s", appUID, appMnt, appUser)
	}
	// The next login shares both, also after a daemon that was killed.
	w.stop(unix.SIGKILL)
	w.start()
	again, _ := w.su(itself)
	if _, m, _ := place(t, again, "shell"); m != mnt {
		t.Error("a second login is in another view")
	}
	if rec := w.records(); len(rec) != 1 || rec[0].Class != "untrusted" || !slices.Contains(rec[0].Isolated, "user") {
		t.Errorf("%+v", rec)
	}
	// What the host mounts later in /run is in the view; logind does that.
	if err := os.Mkdir("/run/user-late", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("late", "/run/user-late", "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount("/run/user-late", unix.MNT_DETACH); os.Remove("/run/user-late") })
	if late, _ := w.su("grep -c /run/user-late /proc/self/mounts"); !strings.Contains(late, "\n1\n") {
		t.Errorf("a later mount of the host's is not in the view: %s", late)
	}
}

// TestNothingOfTheViewRunsAsRoot plants programs and libraries all over the
// view and logs in: what ran of them ran as the user.
func TestNothingOfTheViewRunsAsRoot(t *testing.T) {
	w := newLoginWorld(t, "[login.users]\nmia = \"loose\"\n")
	w.start()
	holder := w.stay()
	w.write("mark", "#!/bin/bash\necho \"$0 $EUID\" >> /run/marks/log\nexec /bin/bash \"$@\"\n", 0o755)
	w.write("stack", "session required pam_exec.so /run/marks/mark\n", 0o644)
	w.write("nss", "passwd: evil\ngroup: evil\nshadow: evil\n", 0o644)
	for _, name := range []string{"mark", "stack", "nss"} { // /tmp of the view is its own
		b, err := os.ReadFile(filepath.Join(w.dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile("/run/marks/"+name, b, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	plant := func(from, at string) {
		t.Helper()
		cmd := exec.Command("nsenter", "-m", "-t", holder, "mount", "--bind", "/run/marks/"+from, at)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	// mount(8) is used for each, so what breaks programs comes last.
	for _, at := range []string{"/usr/bin/id", "/usr/bin/su", "/usr/bin/env", "/usr/bin/dash"} {
		plant("mark", at)
	}
	plant("stack", "/etc/pam.d/su")
	modules, err := filepath.Glob("/usr/lib/*/security/pam_exec.so")
	if err != nil || len(modules) == 0 {
		t.Fatal(modules, err)
	}
	plant("mark", modules[0])
	plant("nss", "/etc/nsswitch.conf")

	out, _ := w.su("echo ran $EUID")
	w.wants(out, "\nran "+strconv.Itoa(int(w.uid))+"\n")
	place(t, out, "app") // the application's own stack, with the host's pam_exec
	log, err := os.ReadFile("/run/marks/log")
	if err != nil {
		t.Fatalf("nothing of what was planted ran, so nothing is shown: %v\n%s", err, out)
	}
	for line := range strings.Lines(string(log)) {
		if !strings.HasSuffix(line, fmt.Sprintf(" %d\n", w.uid)) {
			t.Errorf("ran: %s", line)
		}
	}
}

func TestAProfileOfOnesOwn(t *testing.T) {
	w := newLoginWorld(t, "[login]\nown = true\nchoose = [\"other\"]\n")
	dir := "/run/home/.config/ninefold/profiles"
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	own := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name+".toml"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		w.chown(filepath.Join(dir, name+".toml"))
	}
	for _, d := range []string{"/run/home/.config", "/run/home/.config/ninefold", dir} {
		w.chown(d)
	}
	own("mine", "version = 1\nnamespace = \"bind /run/home /n/home\"\n")
	own("other", "version = 1\n")
	own("plain", "version = 1\n")
	own("broken", "version = 1\nbse = \"x\"\n")
	own("pid", "version = 1\n[isolation]\npid = true\n")
	own("theirs", "version = 1\nnamespace_file = \"/run/roots.ns\"\n")
	if err := os.WriteFile("/run/roots.ns", []byte("ninefold 1\nbind /etc /n/etc\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.Remove("/run/roots.ns") })
	w.start()
	for choice, want := range map[string]struct {
		verdict          door.Verdict
		profile, message string
	}{
		"mine":    {door.Enter, "~mine", ""},
		"~mine":   {door.Enter, "~mine", ""},
		"other":   {door.Enter, "other", ""}, // the machine's counts
		"~other":  {door.Enter, "~other", ""},
		"plain":   {door.Host, "", `"plain" is not one that you may choose`},
		"broken":  {door.Host, "", "your own profile broken cannot be used"},
		"theirs":  {door.Host, "", "uid 0 had a hand in it"},
		"pid":     {door.Host, "", "PID namespace"},
		"nosuch":  {door.Host, "", `"nosuch" is not one that you may choose`},
		"~../x":   {door.Host, "", "not one that you may choose"},
		"~":       {door.Host, "", "not one that you may choose"},
		"~~mine":  {door.Host, "", "not one that you may choose"},
		"~nobody": {door.Host, "", "not one that you may choose"},
	} {
		r := w.ask(door.Session, choice)
		if r.Verdict != want.verdict || r.Profile != want.profile || !strings.Contains(r.Message, want.message) {
			t.Errorf("choice %q: got %+v", choice, r)
		}
		untrusted := strings.HasPrefix(want.profile, "~")
		if (r.Flags&door.Vestibule != 0) != untrusted || untrusted && (len(r.Environment) > 0 || !slices.Equal(r.FDs, []door.FDKind{door.FDMount})) {
			t.Errorf("choice %q: a login process is given %+v", choice, r)
		}
	}
	for _, rec := range w.records() {
		if rec.Class == "trusted" && strings.HasPrefix(rec.Profile, "~") {
			t.Errorf("%s is trusted", rec.Profile)
		}
	}
	w.write("config/ninefold.toml", "[login]\nchoose = [\"other\"]\n", 0o644)
	w.until("users may have none", func() bool { return w.ask(door.Session, "mine").Verdict == door.Host })
}

// A shell that its owner could exchange is not mounted over.
func TestAShellThatIsNotRoots(t *testing.T) {
	w := newLoginWorld(t, "[login.users]\nmia = \"loose\"\n")
	passwd, err := os.ReadFile(filepath.Join(w.dir, "passwd"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/bin/bash", "/run/home/shell"); err != nil {
		t.Fatal(err)
	}
	w.write("passwd", strings.Replace(string(passwd), "/run/home:/bin/sh\n", "/run/home:/run/home/shell\n", 1), 0o644)
	w.start()
	if r := w.ask(door.Session, ""); r.Verdict != door.Host || !strings.Contains(r.Message, "the login shell is not root's") {
		t.Errorf("got %+v", r)
	}
}

// TestAnUpgradedShell: what stood over the old file is gone with it.
func TestAnUpgradedShell(t *testing.T) {
	w := newLoginWorld(t, "[login.users]\nmia = \"loose\"\n")
	shell, err := os.ReadFile("/bin/dash")
	if err != nil {
		t.Fatal(err)
	}
	passwd, err := os.ReadFile(filepath.Join(w.dir, "passwd"))
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("/usr/local/lib", "ninefold-test")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(dir, "sh")
	install := func() {
		if err := os.WriteFile(name+".new", shell, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(name+".new", name); err != nil {
			t.Fatal(err)
		}
	}
	install()
	w.write("passwd", strings.Replace(string(passwd), "/run/home:/bin/sh\n", "/run/home:"+name+"\n", 1), 0o644)
	w.start()
	holder := w.stay()
	for _, when := range []string{"before", "after"} {
		out, _ := w.su(itself)
		if _, mnt, _ := place(t, out, "shell"); mnt != namespaceOf(t, "mnt", holder) {
			t.Errorf("%s the upgrade the shell is on the host", when)
		}
		install()
	}
}

// TestTheManagerIsInTheUntrustedView: by the real wrapper, from its unit.
func TestTheManagerIsInTheUntrustedView(t *testing.T) {
	w := newLoginWorld(t, "[login.users]\nmia = \"loose\"\n")
	cgroup := w.managerCgroup()
	w.start()
	if r := w.ask(door.Prepare, ""); r.Verdict != door.Enter {
		t.Fatalf("%+v", r)
	}
	id := strconv.Itoa(int(w.uid))
	line := fmt.Sprintf("echo 0 > %s/cgroup.procs; exec setpriv --reuid=%s --regid=%s --clear-groups %s user@ -- /bin/sh -c '%s; sleep 60 & echo $! > /run/marks/pid; wait'",
		cgroup, id, id, filepath.Join(w.dir, "ninefold-enter"), strings.ReplaceAll(itself, "'", `'"'"'`))
	c := exec.Command("/bin/bash", "-c", line)
	var out, errs bytes.Buffer
	c.Stdout, c.Stderr = &out, &errs
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	w.t.Cleanup(func() {
		if b, err := os.ReadFile("/run/marks/pid"); err == nil {
			if pid, err := strconv.Atoi(strings.TrimSpace(string(b))); err == nil {
				_ = unix.Kill(pid, unix.SIGKILL)
			}
		}
		_ = c.Process.Kill()
		_ = c.Wait()
	})
	w.until("the manager is there", func() bool { b, _ := os.ReadFile("/run/marks/pid"); return len(b) > 1 })
	w.wants(out.String(), append(powerless, "NINEFOLD_PROFILE=loose\n", "\nnull\n")...)
	_, mnt, _ := place(t, out.String(), "shell")
	if mnt != namespaceOf(t, "mnt", strconv.Itoa(w.holders()[0])) {
		t.Errorf("the manager is in %s: %s", mnt, errs.String())
	}
	session, _ := w.su(itself)
	if _, m, _ := place(t, session, "shell"); m != mnt {
		t.Error("the session is not in the manager's view")
	}
}
