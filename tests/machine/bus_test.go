package machine

import (
	"encoding/json"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestLiveViews looks at views and changes them as a person does, by
// sessionctl, over the real bus and with the real polkit.
func TestLiveViews(t *testing.T) {
	for _, suite := range suites() {
		t.Run(suite, func(t *testing.T) {
			t.Parallel()
			b := installed(t, suite, Options{})
			if r := b.Run("sessionctl", "list"); !r.OK() || r.Stdout != "" {
				t.Errorf("without a login: %s", r)
			}
			term := b.login("alice")
			ns := b.ns(term)
			id := b.viewOf("alice")
			t.Run("show", func(t *testing.T) { b.For(t).shown(t, id, ns) })
			t.Run("enter", func(t *testing.T) { b.For(t).entered(t, id, ns, term) })
			t.Run("inside", func(t *testing.T) { b.For(t).fromInside(t, id, term) })
			t.Run("bind", func(t *testing.T) { b.For(t).boundLive(t, id, term) })
			t.Run("others", func(t *testing.T) { b.For(t).othersHands(t, id, ns, term) })
			t.Run("doctor", func(t *testing.T) { b.For(t).doctored(t) })
			t.Run("quick", func(t *testing.T) { b.For(t).quick(t) })
			t.Run("untrusted", func(t *testing.T) { b.For(t).looseView(t) })
			t.Run("end", func(t *testing.T) { b.For(t).ended(t, id, term) })
			t.Run("restart", func(t *testing.T) { b.For(t).restarted(t) })
			t.Run("without-daemon", func(t *testing.T) { b.For(t).withoutDaemon(t) })
		})
	}
}

type listing struct {
	Views []struct {
		ID, User, Profile, Scope string
		UID                      uint32
		MountNS                  uint64 `json:"mount_ns"`
		Holder                   int
		Manager                  bool
		Sessions                 []string
	}
	Sessions []struct{ ID, View, Service, User string }
}

func (b *Booted) listed() (l listing) {
	b.t.Helper()
	b.check(json.Unmarshal([]byte(b.Must("sessionctl", "list", "--json")), &l))
	return l
}

// viewOf returns the id of the only view of a user.
func (b *Booted) viewOf(user string) string {
	b.t.Helper()
	for _, v := range b.listed().Views {
		if v.User == user {
			return v.ID
		}
	}
	b.t.Fatalf("%s has no view", user)
	return ""
}

func (b *Booted) shown(t *testing.T, id, ns string) {
	l := b.listed()
	if len(l.Views) != 1 || len(l.Sessions) != 1 {
		t.Fatalf("one login is listed as %+v", l)
	}
	v, s := l.Views[0], l.Sessions[0]
	if v.Profile != "marked" || !v.Manager || "mnt:["+b.Must("sh", "-c", "sessionctl show --json "+id+" | sed -n 's/.*\"mount_ns\": \\([0-9]*\\).*/\\1/p'")+"]" != ns {
		t.Errorf("the view is %+v; its sessions are in %s", v, ns)
	}
	if s.View != id || s.Service != "login" || !strings.Contains(b.Must("loginctl", "list-sessions", "--no-legend"), s.ID) {
		t.Errorf("the session is %+v", s)
	}
	if out := b.Must("sessionctl", "show", s.ID); !strings.Contains(out, "alice (uid 1000)") || !strings.Contains(out, v.Scope) {
		t.Errorf("show prints:\n%s", out)
	}
	if out := b.Must("sessionctl", "ns", id); !strings.Contains(out, "/etc/ninefold-marker") {
		t.Errorf("ns prints:\n%s", out)
	}
	// Everybody may look, as at loginctl; not at the namespace file.
	if r := b.RunAs("bob", "sessionctl", "show", id); !r.OK() {
		t.Error(r)
	}
	if r := b.RunAs("bob", "sessionctl", "ns", id); r.Code != 8 || r.Stdout != "" {
		t.Errorf("another's namespace file: %s", r)
	}
	if r := b.Run("sessionctl", "show", "1000-nothing2"); r.Code != 3 {
		t.Errorf("no such view: %s", r)
	}
	if out := b.Must("busctl", "introspect", "org.ninefold", "/org/ninefold"); !strings.Contains(out, ".ListViews") {
		t.Errorf("busctl sees:\n%s", out)
	}
}

func (b *Booted) entered(t *testing.T, id, ns string, term *Terminal) {
	const look = "cat /etc/ninefold-marker; echo; readlink /proc/self/ns/mnt; id -un; id -Gn; grep CapPrm: /proc/self/status; pwd; echo $XDG_RUNTIME_DIR; exit 9"
	r := b.Run("sessionctl", "enter", id, "--", "sh", "-c", look)
	out := strings.Split(strings.TrimSpace(r.Stdout), "\n")
	if r.Code != 9 || len(out) != 7 || out[0] != "marked" || out[1] != ns || out[2] != "alice" ||
		out[3] != b.Must("id", "-Gn", "alice") || out[4] != "CapPrm:\t0000000000000000" || out[5] != "/home/alice" || out[6] != "/run/user/1000" {
		t.Errorf("root enters: %s", r)
	}
	if r := b.Run("sessionctl", "enter", id, "--", "systemctl", "--user", "is-active", "basic.target"); !r.OK() {
		t.Errorf("the user's manager from there: %s", r)
	}
	if r := b.Run("sessionctl", "enter", id, "--", "no-such-program"); r.Code != 127 {
		t.Errorf("a command that is not there: %s", r)
	}
	// With a terminal: one of its own, and a login shell.
	other, err := b.Terminal(b.ctx, "sessionctl", "enter", id)
	b.check(err)
	defer other.Close()
	if _, _, err := other.Expect(patience, prompt); err != nil {
		t.Fatalf("%v; shown:\n%s", err, other.Shown())
	}
	if got, code, err := other.Do("tty; readlink /proc/self/ns/mnt"); err != nil || code != 0 || !strings.Contains(got, "/dev/pts/") || !strings.Contains(got, ns) {
		t.Errorf("on a terminal: %q %d %v; shown:\n%s", got, code, err, other.Shown())
	}
	b.check(other.Type("exit\n"))
	if _, err := other.Wait(patience); err != nil {
		t.Error(err)
	}
	if r := b.RunAs("bob", "sessionctl", "enter", id, "--", "true"); r.Code != 8 {
		t.Errorf("another enters: %s", r)
	}
}

func (b *Booted) fromInside(t *testing.T, id string, term *Terminal) {
	do := func(command string, want ...string) {
		t.Helper()
		out, code, err := term.Do(command)
		b.check(err)
		for _, w := range want {
			if !strings.Contains(out, w) {
				t.Errorf("%s: want %q; status %d:\n%s", command, w, code, out)
			}
		}
	}
	do("sessionctl status", id, "marked", "isolated", "1 view")
	do("sessionctl enter "+id+" -- cat /etc/ninefold-marker", "marked")
	do("sessionctl ns "+id, "ninefold-marker")
	do("sessionctl doctor --user alice | tail -1", "alice", id)
	do("sessionctl doctor --user bob >/dev/null; echo code=$?", "code=8")
	// A service of the user's own that was started before anybody entered.
	do("systemd-run --user --wait --pipe --quiet sessionctl enter "+id+" -- cat /etc/ninefold-marker", "marked")
}

// boundLive binds into the view from inside and outside, and takes off no more
// than that. The daemon that takes it off is a new one.
func (b *Booted) boundLive(t *testing.T, id string, term *Terminal) {
	do := func(command, want string) {
		t.Helper()
		out, _, err := term.Do(command)
		b.check(err)
		if !strings.Contains(out, want) {
			t.Errorf("%s: want %q, got\n%s", command, want, out)
		}
	}
	do("mkdir -p ~/from ~/onto && echo inside > ~/from/f && sessionctl bind ~/from ~/onto && cat ~/onto/f", "inside")
	if b.Run("cat", "/home/alice/onto/f").OK() {
		t.Error("the host sees it")
	}
	do("sessionctl bind ~/from /etc; echo code=$?", "below the home directory")
	do("sessionctl bind /etc/shadow ~/from/f; echo code=$?", "permission denied")
	do("sessionctl unmount /etc; echo code=$?", "not a live bind")
	do("sessionctl unmount /home; echo code=$?", "not a live bind")
	b.Must("sh", "-c", "mkdir -m 700 /root/given; echo root > /root/given/f")
	b.Must("sessionctl", "bind", "--read-only", "--view", id, "/root/given", "/n/given")
	do("cat /n/given/f 2>&1", "Permission denied") // root's modes count there, too
	b.Must("chmod", "755", "/root/given")
	do("cat /n/given/f; echo x > /n/given/f", "root")
	if r := b.RunAs("bob", "sessionctl", "bind", "--view", id, "/tmp", "/n/bob"); r.Code != 8 {
		t.Errorf("another binds: %s", r)
	}
	b.Must("systemctl", "restart", "sessiond.service")
	b.eventually("the new daemon on the bus", func() string { return b.Run("sessionctl", "list").Stderr })
	do("sessionctl unmount ~/onto && ls ~/onto | wc -l", "0")
	b.Must("sessionctl", "unmount", "--view", id, "/n/given")
	do("ls /n/given | wc -l", "0")
}

// othersHands has somebody else reach for a view: polkit has no agent there
// that could ask, and so refuses.
func (b *Booted) othersHands(t *testing.T, id, ns string, term *Terminal) {
	if r := b.RunAs("bob", "sessionctl", "end", id); r.Code != 8 || !strings.Contains(r.Stderr, "polkit") {
		t.Errorf("another ends it: %s", r)
	}
	if r := b.RunAs("bob", "busctl", "call", "org.ninefold", "/org/ninefold", "org.ninefold.Manager", "EndView", "u", "1"); r.OK() {
		t.Errorf("a number for an id: %s", r)
	}
	if r := b.RunAs("bob", "busctl", "call", "org.ninefold", "/org/ninefold", "org.ninefold.Manager", "Reload"); r.OK() {
		t.Errorf("another reloads: %s", r)
	}
	if now := b.ns(term); now != ns {
		t.Errorf("the view was touched")
	}
	// An administrator lets bob do it.
	const rule = `polkit.addRule(function(a, s) { if (a.id == "org.ninefold.session.end" && s.user == "bob" && a.lookup("profile") == "marked") return polkit.Result.YES; });`
	b.Write("/etc/polkit-1/rules.d/10-test.rules", rule)
	carol := b.login("carol")
	view := b.viewOf("carol")
	b.eventually("polkit to read its rule", func() string {
		r := b.RunAs("bob", "sessionctl", "end", view)
		if r.OK() {
			return ""
		}
		return r.Stderr
	})
	if _, err := carol.Wait(patience); err != nil {
		t.Error(err)
	}
	b.Must("rm", "/etc/polkit-1/rules.d/10-test.rules")
	b.gone("carol")
}

func (b *Booted) doctored(t *testing.T) {
	r := b.Run("sessionctl", "doctor", "--user", "bob")
	for line := range strings.Lines(r.Stdout) {
		if strings.Contains(line, "  login  ") && !strings.HasPrefix(line, "ok ") {
			t.Errorf("doctor finds: %s", line)
		}
	}
	if !r.OK() || !strings.Contains(r.Stdout, "a login of bob gets a new view of profile marked: the default of bob") || !strings.Contains(r.Stdout, "sshd, su-l") {
		t.Error(r)
	}
	b.Write("/etc/systemd/system/user@.service.d/zz.conf", "[Service]\nExecStart=\nExecStart=/usr/lib/systemd/systemd --user\n")
	b.Must("systemctl", "daemon-reload")
	if r := b.Run("sessionctl", "doctor"); !strings.Contains(r.Stdout, "user managers stay on the host") {
		t.Errorf("an override is not seen: %s", r)
	}
	// The wrapper's privilege is not the unit's: a manager without it has none, but
	// for CAP_WAKE_ALARM, which pam_systemd(8) of Debian 13 gives to every one.
	b.SSH("carol", "true")
	caps := strings.Fields(b.Must("sh", "-c", "sed -n 's/^Cap[IPEA].*://p' /proc/$(systemctl show -P MainPID user@1002.service)/status"))
	for _, set := range caps {
		if has, err := strconv.ParseUint(set, 16, 64); err != nil || has&^(1<<unix.CAP_WAKE_ALARM) != 0 {
			t.Errorf("a manager that an override starts has capabilities: %v %v", caps, err)
		}
	}
	if len(caps) != 4 {
		t.Errorf("the capabilities of a manager that an override starts: %v", caps)
	}
	b.gone("carol")
	b.Must("rm", "/etc/systemd/system/user@.service.d/zz.conf")
	b.Must("systemctl", "daemon-reload")
	b.Must("setcap", "-r", "/usr/lib/ninefold/ninefold-enter")
	if r := b.Run("sessionctl", "doctor"); !strings.Contains(r.Stdout, "it has no capabilities") {
		t.Errorf("lost capabilities are not seen: %s", r)
	}
	b.Must("setcap", "cap_sys_admin,cap_sys_chroot=p", "/usr/lib/ninefold/ninefold-enter")
	b.Write(profileDir+"broken.toml", "version = 1\nbase =\n")
	b.eventually("the daemon to see it", func() string {
		if out := b.Must("sessionctl", "status"); !strings.Contains(out, "broken.toml") {
			return out
		}
		return ""
	})
	b.Must("rm", profileDir+"broken.toml")
	if out := b.Must("sessionctl", "logs"); !strings.Contains(out, "view made") {
		t.Errorf("logs shows:\n%s", out)
	}
}

// looseView is a view that its user had a hand in: whoever enters it has nothing
// there, and nothing is bound into it.
func (b *Booted) looseView(t *testing.T) {
	b.Write(profileDir+"loose.toml", "version = 1\nbase = \"host\"\n")
	b.Must("chown", "bob", profileDir+"loose.toml")
	b.configure("[login]\nown = true\ndefault = \"marked\"\n[login.users]\nbob = \"loose\"\n")
	term := b.login("bob")
	id, ns := b.viewOf("bob"), b.ns(term)
	if out := b.Must("sessionctl", "show", id); !strings.Contains(out, "untrusted") {
		t.Errorf("show prints:\n%s", out)
	}
	r := b.Run("sessionctl", "enter", id, "--", "sh", "-c", "readlink /proc/self/ns/mnt; id -un; grep -E '^(CapBnd|NoNewPrivs):' /proc/self/status")
	if !r.OK() || !strings.HasPrefix(r.Stdout, ns+"\nbob\n") || !strings.Contains(r.Stdout, "CapBnd:\t0000000000000000") || !strings.Contains(r.Stdout, "NoNewPrivs:\t1") {
		t.Errorf("root enters: %s", r)
	}
	out, _, err := term.Do("sessionctl status; sessionctl enter " + id + " -- id -un; mkdir -p ~/a ~/b; sessionctl bind ~/a ~/b; echo code=$?")
	b.check(err)
	for _, want := range []string{"untrusted", id, "\nbob", "nothing is bound into such views", "code=8"} {
		if !strings.Contains(strings.ReplaceAll(out, "\r", ""), want) {
			t.Errorf("lacks %q:\n%s", want, out)
		}
	}
	b.gone("bob")
	b.configure("[login]\ndefault = \"marked\"\n")
}

// quick wants a listing that nobody waits for.
func (b *Booted) quick(t *testing.T) {
	const n = 20
	began := time.Now()
	b.Must("sh", "-c", "for i in $(seq 20); do sessionctl list >/dev/null; done")
	if each := time.Since(began) / n; each > 200*time.Millisecond {
		t.Errorf("list takes %s", each)
	} else {
		t.Logf("list takes %s", each)
	}
}

func (b *Booted) ended(t *testing.T, id string, term *Terminal) {
	second := b.login("alice")
	sessions := b.listed().Sessions
	if len(sessions) != 2 {
		t.Fatalf("two logins are listed as %+v", sessions)
	}
	b.Must("sessionctl", "end", sessions[1].ID)
	if _, err := second.Wait(patience); err != nil {
		t.Error(err)
	}
	b.eventually("that session to end", func() string {
		if l := b.listed(); len(l.Sessions) != 1 || len(l.Views) != 1 {
			return strings.Join(l.Views[0].Sessions, " ")
		}
		return ""
	})
	b.ns(term) // the other one works
	// One's own, from inside: it ends what asks, too.
	b.check(term.Type("sessionctl end " + id + "\n"))
	if _, err := term.Wait(patience); err != nil {
		t.Error(err)
	}
	b.eventually("the view to end", func() string {
		if l := b.listed(); len(l.Views) > 0 {
			return l.Views[0].ID
		}
		return ""
	})
	b.gone("alice")
	if p := b.probe(t, Ways[0], "alice"); p["marker"] != "marked" {
		t.Errorf("the next login is not in a view: %v", p)
	}
	b.gone("alice")
}

// restarted asks the daemon as soon as systemctl says that it has started anew.
func (b *Booted) restarted(t *testing.T) {
	for range 20 {
		if r := b.Run("sh", "-c", "systemctl restart sessiond.service && sessionctl list"); !r.OK() || r.Stderr != "" {
			t.Fatalf("right after a restart: %s", r)
		}
	}
}

func (b *Booted) withoutDaemon(t *testing.T) {
	b.Must("systemctl", "kill", "-s", "STOP", "sessiond.service")
	if r := b.Run("sessionctl", "list"); r.Code != 9 || !strings.Contains(r.Stderr, "does not answer") {
		t.Errorf("a daemon that hangs: %s", r)
	}
	b.Must("systemctl", "kill", "-s", "CONT", "sessiond.service")
	b.Must("systemctl", "stop", "sessiond-door.socket", "sessiond.service")
	if r := b.Run("sessionctl", "list"); !r.OK() || r.Stdout != "" || !strings.Contains(r.Stderr, "does not run") {
		t.Errorf("list: %s", r)
	}
	b.SSH("carol", "true")
	if out := b.Must("sessionctl", "logs"); !strings.Contains(out, "pam_ninefold(sshd:session)") || !strings.Contains(out, "Stopped sessiond.service") || strings.Contains(out, "pam_unix") {
		t.Errorf("logs shows:\n%s", out)
	}
	if r := b.Run("sessionctl", "end", "1000-abcdefgh"); r.Code != 9 {
		t.Errorf("end: %s", r)
	}
	if b.Run("systemctl", "is-active", "sessiond.service").OK() {
		t.Error("whoever looks has started the daemon")
	}
	// The bus starts it for who calls it.
	b.Must("busctl", "call", "org.ninefold", "/org/ninefold", "org.ninefold.Manager", "ListViews")
	b.Must("systemctl", "is-active", "sessiond.service")
}
