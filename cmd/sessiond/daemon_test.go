package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"ninefold/sessiond/door"
	"ninefold/sessiond/process"
)

func TestALoginLandsInItsView(t *testing.T) {
	w := newWorld(t)
	w.start()
	first := w.ask(door.Prepare, "")
	if first.Verdict != door.Enter || first.Profile != "plain" {
		t.Fatalf("prepare: %+v", first)
	}
	g := w.login(door.Session, "", "")
	if !regexp.MustCompile(`^verdict=1 view=[0-9]+-[a-z0-9]+ profile=plain message=$`).MatchString(g.reply) {
		t.Errorf("got %q", g.reply)
	}
	if views, err := os.ReadDir("/run/ninefold/state/views"); err != nil || len(views) != 1 {
		t.Errorf("the login is not in the view that was prepared for it: there are %v %v", views, err)
	}
	mark := "/etc/ninefold-test-" + strconv.Itoa(os.Getpid())
	if got := g.sh(t, "echo here > "+mark+" && cat "+mark+" && :"); got != "here" {
		t.Errorf("got %q", got)
	}
	if _, err := os.Stat(mark); err == nil {
		t.Error("what is written in the view is on the host")
	}
	if got := g.sh(t, `echo "$NINEFOLD_PROFILE $COLOUR $(test -S /run/ninefold/door && echo door)"`); got != "plain blue door" {
		t.Errorf("got %q", got)
	}
	// A mount that the host makes later below /run is there as well.
	if err := os.Mkdir("/run/later", 0o755); err != nil {
		t.Fatal(err)
	}
	defer os.Remove("/run/later")
	if got := g.sh(t, "test -d /run/later && echo yes || echo no"); got != "yes" {
		t.Errorf("/run is not the host's: %q", got)
	}
	if got, err := os.ReadFile("/proc/self/mountinfo"); err != nil || strings.Contains(string(got), "machine/run/ninefold") {
		t.Error("the view's mounts reach the host")
	}
	second := w.login(door.Session, "", "")
	if got := second.sh(t, "cat "+mark); got != "here" {
		t.Errorf("a second login is in another view: %q", got)
	}
}

func TestViewsOutliveTheDaemon(t *testing.T) {
	w := newWorld(t)
	w.start("-grace", "50ms")
	g := w.login(door.Session, "", "")
	g.sh(t, "echo 7 > /tmp/x; echo ok")
	for _, sig := range []unix.Signal{unix.SIGKILL, unix.SIGTERM} {
		w.stop(sig)
		if got := g.sh(t, "cat /tmp/x"); got != "7" {
			t.Errorf("after %v: %q", sig, got)
		}
		w.start("-grace", "50ms")
		if again := w.login(door.Session, "", ""); again.sh(t, "cat /tmp/x") != "7" {
			t.Errorf("after %v a login got another view", sig)
		} else {
			again.leave()
		}
	}
	if n := len(w.holders()); n != 1 {
		t.Errorf("%d holders", n)
	}
	g.leave()
	w.until("the view ends with its last login", func() bool { return len(w.holders()) == 0 && len(w.records()) == 0 })
}

func TestAProcessLeftBehindKeepsItsView(t *testing.T) {
	w := newWorld(t)
	w.start("-grace", "1ms")
	g := w.login(door.Session, "", "")
	pid := g.sh(t, "setsid sleep 1000 >/dev/null 2>&1 & echo $!")
	g.leave()
	w.until("the session is over", func() bool { r := w.records(); return len(r) == 1 && len(r[0].Sessions) == 0 })
	n, err := strconv.Atoi(pid)
	if err != nil {
		t.Fatal(err)
	}
	if len(w.holders()) != 1 {
		t.Error("the view ended although a process is in it")
	}
	if err := unix.Kill(n, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	w.stop(unix.SIGTERM)
	w.start("-grace", "1ms") // which looks at once
	w.until("the view ends", func() bool { return len(w.holders()) == 0 })
}

func TestAKilledHolderLosesNobody(t *testing.T) {
	w := newWorld(t)
	w.start("-grace", "50ms")
	g := w.login(door.Session, "", "")
	g.sh(t, "echo 7 > /tmp/x; echo ok")
	if err := unix.Kill(w.holders()[0], unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	w.until("the holder is gone", func() bool { return len(w.holders()) == 0 })
	for range 2 {
		again := w.login(door.Session, "", "")
		if got := again.sh(t, "cat /tmp/x"); got != "7" {
			t.Errorf("got %q", got)
		}
		again.leave()
		w.stop(unix.SIGKILL)
		w.start("-grace", "50ms")
	}
	g.leave()
	w.until("the record goes with the last process", func() bool { return len(w.records()) == 0 })
	if fresh := w.login(door.Session, "", ""); fresh.sh(t, "cat /tmp/x 2>/dev/null || echo new") != "new" {
		t.Error("the old view came back")
	}
}

// TestKilledAtEveryStep kills the daemon at moments spread over the making of a
// view. Whatever is left, the next daemon knows it or has removed it.
func TestKilledAtEveryStep(t *testing.T) {
	w := newWorld(t)
	rounds := 40
	if testing.Short() {
		rounds = 12
	}
	for i := range rounds {
		w.start("-grace", "1ms")
		asked := make(chan struct{})
		go func() {
			defer close(asked)
			// What it answers, if it does, is not the point.
			_, _, _ = door.Ask(door.Path, door.Request{Op: door.Prepare, UID: w.uid, User: "mia"})
		}()
		time.Sleep(time.Duration(i) * 8 * time.Millisecond / time.Duration(rounds))
		w.stop(unix.SIGKILL)
		<-asked
		w.start("-grace", "1ms")
		w.until("no view is left over", func() bool { return len(w.holders()) == 0 && len(w.records()) == 0 })
		w.stop(unix.SIGTERM)
	}
}

func TestWhatALoginIsTold(t *testing.T) {
	w := newWorld(t)
	w.start()
	for _, c := range []struct {
		choice  string
		verdict door.Verdict
		profile string
		message string
	}{
		{"", door.Enter, "plain", ""},
		{"plain", door.Enter, "plain", ""},
		{"other", door.Enter, "other", ""},
		{"isolated", door.Host, "", "PID namespace"},
		{"none", door.Enter, "plain", `"none" is not one that you may choose`},
		{"nosuch", door.Enter, "plain", `"nosuch" is not one that you may choose`},
		{"?", door.Enter, "plain", "not one that you may choose"},
		{strings.Repeat("é", 60), door.Enter, "plain", "not one that you may choose"},
	} {
		r := w.ask(door.Session, c.choice)
		if r.Verdict != c.verdict || r.Profile != c.profile || !strings.Contains(r.Message, c.message) || c.message == "" && r.Message != "" {
			t.Errorf("choice %q: got %+v", c.choice, r)
		}
	}
	for _, r := range []door.Request{
		{Op: door.Session, UID: 0, User: "root", Choice: "plain"},
		{Op: door.Session, UID: 999, User: "daemon", Choice: "plain"},
		{Op: door.Session, UID: 65534, User: "nobody", Choice: "plain"},
		{Op: door.Session, UID: w.uid, User: "mia", Class: "greeter"},
		{Op: door.Session, UID: w.uid, User: "mia", Service: "systemd-user"},
		{Op: door.Manager, UID: w.uid, User: "mia"}, // root, and in no unit of a user
		{Op: door.Join, UID: w.uid, User: "mia"},
	} {
		if got, files, err := door.Ask(door.Path, r); err != nil || got.Verdict != door.Host || len(files) != 0 {
			t.Errorf("%+v: got %+v %v", r, got, err)
		}
	}
}

func TestTheConfigurationIsLive(t *testing.T) {
	w := newWorld(t)
	w.start()
	w.write("config/ninefold.toml", "[login]\ndefault = \"other\"\nchose = 1\n", 0o644)
	w.until("the bad change is told", func() bool { return strings.Contains(w.logged(), "ninefold.toml:3:1") })
	if r := w.ask(door.Session, ""); r.Profile != "plain" {
		t.Errorf("a bad change is in force: %+v", r)
	}
	w.write("config/profiles/plain.toml", "version = 1\nbase = \"host\"\nhme = \"private\"\n", 0o644)
	w.until("the bad profile is told", func() bool { return strings.Contains(w.logged(), "plain.toml:3:1") })
	if r := w.ask(door.Session, ""); r.Profile != "plain" || r.Verdict != door.Enter {
		t.Errorf("a profile that was right is gone: %+v", r)
	}
	w.write("config/ninefold.toml", "[login]\ndefault = \"isolated\"\non_failure = \"deny\"\n", 0o644)
	w.until("a good change is in force", func() bool { return w.ask(door.Session, "").Verdict == door.Refuse })
	if err := os.Remove(filepath.Join(w.dir, "config/ninefold.toml")); err != nil {
		t.Fatal(err)
	}
	w.until("without a file no login enters", func() bool { r := w.ask(door.Session, ""); return r.Verdict == door.Host && r.Message == "" })
}

// managerCgroup makes the cgroup that systemd gives the user's manager.
func (w *world) managerCgroup() string {
	w.t.Helper()
	top := "/sys/fs/cgroup/systemd"
	if _, err := os.Stat(top); err != nil {
		top = "/sys/fs/cgroup"
	}
	uid := strconv.Itoa(int(w.uid))
	dirs := []string{top + "/user.slice", top + "/user.slice/user-" + uid + ".slice", top + "/user.slice/user-" + uid + ".slice/user@" + uid + ".service"}
	for _, d := range dirs {
		if err := os.Mkdir(d, 0o755); err == nil {
			w.t.Cleanup(func() {
				w.until("the cgroup is empty", func() bool { return os.Remove(d) == nil })
			})
		} else if !os.IsExist(err) {
			w.t.Fatal(err)
		}
	}
	return dirs[2]
}

// Without systemd there is no second manager to be had.
func TestOneViewBehindOneBus(t *testing.T) {
	w := newWorld(t)
	cgroup := w.managerCgroup()
	w.start("-grace", "50ms")
	if r := w.ask(door.Prepare, "other"); r.Verdict != door.Enter {
		t.Fatalf("%+v", r)
	}
	m := w.login(door.Manager, "", cgroup)
	if !strings.Contains(m.reply, "profile=other") {
		t.Fatalf("the manager got %q", m.reply)
	}
	ns := m.sh(t, "readlink /proc/self/ns/mnt")
	check := func(when string) {
		t.Helper()
		for choice, want := range map[string]string{"other": "profile=other message=", "": "profile=other message=you join your running session"} {
			s := w.login(door.Session, choice, "")
			if !strings.HasPrefix(s.reply, "verdict=1") || !strings.Contains(s.reply, want) || s.sh(t, "readlink /proc/self/ns/mnt") != ns {
				t.Errorf("%s, choice %q: %q", when, choice, s.reply)
			}
			s.leave()
		}
		if r := w.ask(door.Session, "plain"); r.Verdict != door.Host || !strings.Contains(r.Message, "your user manager runs in profile other; end all your sessions to get profile plain") {
			t.Errorf("%s: another profile beside it: %+v", when, r)
		}
		if again := w.login(door.Manager, "", cgroup); !strings.Contains(again.reply, "profile=other") {
			t.Errorf("%s: a second process of the unit got %q", when, again.reply)
		} else {
			again.leave()
		}
	}
	check("at first")
	w.stop(unix.SIGKILL)
	w.start("-grace", "50ms")
	check("after a new daemon")
	m.leave()
	w.until("the view ends with the manager", func() bool { return len(w.holders()) == 0 })
	if s := w.login(door.Session, "", ""); !strings.Contains(s.reply, "profile=plain") {
		t.Errorf("afterwards: %q", s.reply)
	}
}

// TestAManagerOnTheHost: it was told to enter and did not, or was there before
// the daemon; what counts is where it is.
func TestAManagerOnTheHost(t *testing.T) {
	w := newWorld(t)
	cgroup := w.managerCgroup()
	w.write("config/ninefold.toml", "[login]\nchoose = [\"plain\"]\n", 0o644)
	w.start()
	m := w.login(door.Manager, "", cgroup)
	if !strings.HasPrefix(m.reply, "verdict=2") {
		t.Fatalf("got %q", m.reply)
	}
	r := w.ask(door.Session, "plain")
	if r.Verdict != door.Host || !strings.Contains(r.Message, "your user manager runs on the host (no profile applied when it was started)") {
		t.Errorf("got %+v", r)
	}
	m.leave()
	w.until("it is over", func() bool { return w.ask(door.Session, "plain").Verdict == door.Enter })
}

func TestTheDaemonStaysSmall(t *testing.T) {
	w := newWorld(t)
	w.start()
	w.ask(door.Session, "")
	before := w.size()
	rounds := 2000
	if testing.Short() {
		rounds = 300
	}
	for range rounds {
		w.ask(door.Prepare, "")
		w.ask(door.Session, "")
	}
	after := w.size()
	if after.files > before.files+8 || after.threads > before.threads+8 || after.kib > before.kib+16<<10 {
		t.Errorf("after %d logins: %+v before, %+v now", rounds, before, after)
	}
	t.Logf("after %d logins: %+v", rounds, after)
}

type size struct{ files, threads, kib int }

func (w *world) size() size {
	w.t.Helper()
	dir := "/proc/" + strconv.Itoa(w.daemon.Process.Pid)
	if _, err := process.StartTime(w.daemon.Process.Pid); err != nil {
		w.t.Fatal(err)
	}
	count := func(name string) int {
		entries, err := os.ReadDir(filepath.Join(dir, name))
		if err != nil {
			w.t.Fatal(err)
		}
		return len(entries)
	}
	b, err := os.ReadFile(dir + "/status")
	if err != nil {
		w.t.Fatal(err)
	}
	s := size{files: count("fd"), threads: count("task")}
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == "VmRSS:" {
			s.kib, _ = strconv.Atoi(f[1])
		}
	}
	return s
}
