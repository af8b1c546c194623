package machine

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// atConsole makes the terminal that a test types at the machine's console, over
// those of tests before, whose terminals are gone.
const atConsole = `test -e /dev/console || : >/dev/console
while awk '$5 == "/dev/console" { root = $4 } END { exit root !~ /deleted/ }' /proc/self/mountinfo; do umount -l /dev/console; done
mount --bind "$(tty)" /dev/console && exec </dev/console >/dev/console 2>&1 && `

// notAtConsole gives the console back.
const notAtConsole = `while mountpoint -q /dev/console; do umount -l /dev/console; done`

// Getty waits at the console for a name.
func (m *Machine) Getty(ctx context.Context) (*Terminal, error) {
	t, err := m.Terminal(ctx, "sh", "-c", atConsole+"exec /sbin/agetty --noissue --noclear console dumb")
	if err != nil {
		return nil, err
	}
	if _, _, err := t.Expect(patience, regexp.MustCompile(`login: $`)); err != nil {
		t.Close()
		return nil, fmt.Errorf("%w; shown:\n%s", err, t.Shown())
	}
	return t, nil
}

// TestGuestLogins has guests log in in front of the machine, and nowhere else.
func TestGuestLogins(t *testing.T) {
	for _, suite := range suites() {
		t.Run(suite, func(t *testing.T) {
			t.Parallel()
			b := installed(t, suite, Options{})
			before := b.Must("sh", "-c", "cd /etc/pam.d; sha256sum *")
			mounts := b.hostMounts()
			t.Run("off", func(t *testing.T) { b.For(t).noGuest(t, "incorrect") })
			if r := b.Run("sessionctl", "guest", "enable", "--profile", "guest-xfce"); r.OK() || !strings.Contains(r.Stderr, "debian-base") {
				t.Errorf("guests were let into an image that is not there: %s", r)
			}
			b.Must("sessionctl", "guest", "enable", "--service", "login")
			t.Run("console", func(t *testing.T) { b.For(t).guestAtConsole(t) })
			t.Run("lock", func(t *testing.T) { b.For(t).guestLocks(t) })
			t.Run("ended", func(t *testing.T) { b.For(t).guestEnded(t) })
			t.Run("elsewhere", func(t *testing.T) { b.For(t).guestElsewhere(t) })
			t.Run("bounds", func(t *testing.T) { b.For(t).guestBounds(t) })
			t.Run("prepared", func(t *testing.T) { b.For(t).guestPrepared(t) })
			t.Run("home", func(t *testing.T) { b.For(t).guestHome(t) })
			t.Run("users", func(t *testing.T) { b.For(t).guestsOfUsers(t) })
			t.Run("killed", func(t *testing.T) { b.For(t).guestsKilled(t) })
			t.Run("remainders", func(t *testing.T) { b.For(t).guestRemainders(t) })
			b.Must("sessionctl", "guest", "disable")
			if now := b.Must("sh", "-c", "cd /etc/pam.d; sha256sum *"); now != before {
				t.Errorf("the PAM stacks are not what they were:\n%s\n%s", now, before)
			}
			b.noGuestLeft(t)
			b.Must("sh", "-c", notAtConsole)
			if now := b.hostMounts(); now != mounts {
				t.Errorf("visible on the host are now:\n%s\nand were before:\n%s", now, mounts)
			}
			b.want(b.Must("systemctl", "--failed", "--plain", "--no-legend"), "")
			login := b.Must("cat", "/etc/pam.d/login")
			b.Must("sessionctl", "guest", "enable")
			b.Must("dpkg", "--remove", "ninefold")
			if now := b.Must("cat", "/etc/pam.d/login"); now != login {
				t.Errorf("the removal left %s", now)
			}
		})
	}
}

// guestIn logs a guest in at the console and returns its name.
func (b *Booted) guestIn(t *testing.T) (*Terminal, string) {
	t.Helper()
	term, err := b.Getty(b.ctx)
	b.check(err)
	b.check(term.Type("guest\n"))
	if _, _, err := term.Expect(patience, prompt); err != nil {
		defer term.Close()
		t.Fatalf("%v; shown:\n%s\n%s", err, term.Shown(), b.Journal("sessiond"))
	}
	name, code, err := term.Do("id -un")
	if err != nil || code != 0 || !strings.HasPrefix(name, "guest-6") {
		defer term.Close()
		t.Fatalf("who is in is %q, %v; shown:\n%s", name, err, term.Shown())
	}
	return term, strings.TrimSpace(name)
}

// noGuest wants a guest at the console to be told something, and not to be in.
func (b *Booted) noGuest(t *testing.T, told string) {
	t.Helper()
	before := b.Run("pgrep", "-x", "ninefold-guest").Stdout
	term, err := b.Getty(b.ctx)
	b.check(err)
	defer term.Close()
	b.check(term.Type("guest\n"))
	which, _, err := term.Expect(patience, asked, regexp.MustCompile(`(?s)incorrect.*login: $`), prompt)
	if err == nil && which == 0 {
		b.check(term.Type("guest\n"))
		which, _, err = term.Expect(patience, regexp.MustCompile(`(?s)incorrect.*login: $`), prompt)
	}
	if err != nil || which == 2 || !strings.Contains(term.Shown(), told) {
		t.Errorf("%v; %q was to be shown, and was:\n%s", err, told, term.Shown())
	}
	b.want(b.Run("pgrep", "-x", "ninefold-guest").Stdout, before)
}

// noGuestLeft wants all guests to be gone, and nothing of them to be there.
func (b *Booted) noGuestLeft(t *testing.T) {
	t.Helper()
	b.eventually("the ids of guests to be free", func() string {
		r := b.Run("sessionctl", "guest", "sweep")
		if left := b.Must("sh", "-c", guestsSeen); left != "" || !r.OK() {
			return left + r.String() + b.Run("sh", "-c", "for g in $(sessionctl guest list | awk '$3 == \"remains\" { print $1 }'); do sessionctl guest report $g | head -8; done").Stdout
		}
		return ""
	})
	for line := range strings.Lines(b.Must("sessionctl", "guest", "list")) {
		if f := strings.Fields(line); f[0] != "GUEST" && f[2] != "clean" {
			t.Errorf("of a guest something is left: %s", line)
		}
	}
	b.want(b.Must("sh", "-c", "find /run/ninefold/guests -mindepth 1 ! -path /run/ninefold/guests/home 2>/dev/null; ls /run/systemd/dynamic-uid 2>/dev/null | grep -v '[^0-9]' || true"), "")
}

func (b *Booted) guestAtConsole(t *testing.T) {
	term, name := b.guestIn(t)
	defer term.Close()
	uid := strings.TrimPrefix(name, "guest-")
	// What is left here is in the session, and of the machine it has the programs.
	out, _, err := term.Do("pwd; echo mine >~/file; cat ~/file; tty; ls /home; ls -A /run/user /run/dbus; cat /proc/1/comm; ps -e -o user= | sort -u; loginctl")
	b.check(err)
	if !strings.HasPrefix(out, "/home/guest\nmine\n/dev/pts/") || strings.Contains(out, "bob") || !strings.Contains(out, "ninefold-init") {
		t.Errorf("the guest has:\n%s", out)
	}
	// On the host there is nothing of it but what waits for its end.
	b.want(b.Must("getent", "passwd", name), fmt.Sprintf("%s:x:%s:%s:Guest:/run/ninefold/guests/home:/usr/lib/ninefold/ninefold-guest", name, uid, uid))
	host, out := b.hostNS(), ""
	for _, p := range b.processes(name) {
		if p.ns == host {
			t.Errorf("%s of the guest is on the host", p.name)
		}
		out += p.name + "\n"
	}
	if strings.Count(out, "ninefold-guest\n") != 1 || !strings.Contains(out, "bash\n") || strings.Contains(out, "systemd\n") {
		t.Errorf("of the guest run:\n%s", out)
	}
	r := b.Must("sh", "-c", "loginctl show-session $(loginctl list-sessions --no-legend | awk -v u=$0 '$3 == u { print $1 }') -p Name -p Remote -p Service -p TTY", name)
	for _, want := range []string{"Name=" + name, "Remote=no", "Service=login", "TTY=console"} {
		if !strings.Contains(r+"\n", want+"\n") {
			t.Errorf("logind's session lacks %s: %s", want, r)
		}
	}
	// In the login program's namespace nothing but the stand-in can be executed.
	pid := b.Must("pgrep", "-x", "ninefold-guest")
	for _, program := range []string{"/usr/bin/id", "/bin/sh", "/usr/lib/systemd/systemd", "/run/ninefold/guests/home/own"} {
		r := b.Run("timeout", "3", "nsenter", "-t", pid, "-m", "-S", uid, "-G", uid, program, "-c", "id")
		if r.OK() || strings.Contains(r.Stdout, "uid=") {
			t.Errorf("%s was executed where the guest's login program is: %s", program, r)
		}
	}
	// Nobody comes after the guest, as the guest.
	b.guestsWays(t, name)
	if r := b.Run("su", "-s", "/bin/sh", "-c", "id", name); r.OK() || strings.Contains(r.Stdout, "uid=") {
		t.Errorf("root became the guest by PAM: %s", r)
	}
	// Its entrance is behind it, and its uid alone gets nothing.
	if r := b.Run("setpriv", "--reuid", uid, "--regid", uid, "--clear-groups", "timeout", "3", "/usr/lib/ninefold/ninefold-guest"); r.OK() {
		t.Errorf("a second process came in as the guest: %s", r)
	}
	for _, way := range []string{"user@", "view", "session"} {
		r := b.Run("setpriv", "--reuid", uid, "--regid", uid, "--clear-groups", "/usr/lib/ninefold/ninefold-enter", way, "--", "/usr/bin/id")
		if r.OK() || strings.Contains(r.Stdout, "uid=") {
			t.Errorf("ninefold-enter %s ran something of the guest's on the host: %s", way, r)
		}
	}
	b.check(term.Type("exit 0\n"))
	if _, err := term.Wait(patience); err != nil {
		t.Errorf("%v; shown:\n%s", err, term.Shown())
	}
	b.noGuestLeft(t)
}

// guestEnded ends guests in every way but their own.
func (b *Booted) guestEnded(t *testing.T) {
	over := func(term *Terminal, name, told string) {
		t.Helper()
		defer term.Close()
		if _, err := term.Wait(patience); err != nil || !strings.Contains(term.Shown(), told) {
			t.Errorf("%v; %q was to be shown, and was:\n%s", err, told, term.Shown())
		}
		b.eventually("the guest's processes to be gone", func() string { return b.Run("pgrep", "-u", name, "-l").Stdout })
		b.eventually("the guest to be listed as gone", func() string {
			for line := range strings.Lines(b.Must("sessionctl", "guest", "list")) {
				if f := strings.Fields(line); f[0] == name && f[2] != "ended" && f[2] != "clean" {
					return line
				}
			}
			return ""
		})
	}
	term, name := b.guestIn(t)
	b.Must("systemctl", "restart", "sessiond.service")
	killed := b.Must("systemctl", "show", "--property=MainPID", "--value", "sessiond.service")
	b.Must("systemctl", "kill", "--signal=SIGKILL", "sessiond.service")
	if out, _, err := term.Do("id -un"); err != nil || strings.TrimSpace(out) != name {
		t.Errorf("without the daemon that let it in the guest is %q, %v", out, err)
	}
	b.eventually("the daemon to be back", func() string {
		now := b.Must("systemctl", "show", "--property=MainPID,ActiveState", "--value", "sessiond.service")
		if f := strings.Fields(now); slices.Contains(f, "active") && !slices.Contains(f, killed) {
			return ""
		}
		return now
	})
	b.Must("sessionctl", "guest", "end", name)
	over(term, name, "your session was ended")
	if r := b.Run("sessionctl", "guest", "end", name); r.Code != 3 {
		t.Errorf("a guest that is gone was ended: %s", r)
	}

	term, name = b.guestIn(t)
	b.Must("systemctl", "kill", "--signal=SIGKILL", "ninefold-"+name+".service")
	over(term, name, "keeper has ended")

	// By the session's end at logind, as by a loss of power to the terminal.
	term, name = b.guestIn(t)
	b.Must("sh", "-c", "loginctl terminate-session $(loginctl list-sessions --no-legend | awk -v u=$0 '$3 == u { print $1 }')", name)
	over(term, name, "")

	term, name = b.guestIn(t)
	term.Close()
	over(term, name, "")

	// Where the login program does not hear that either.
	term, err := b.Terminal(b.ctx, "sh", "-c", "trap '' HUP; "+atConsole+"exec login guest")
	b.check(err)
	if _, _, err := term.Expect(patience, prompt); err != nil {
		term.Close()
		t.Fatalf("%v; shown:\n%s", err, term.Shown())
	}
	if name, _, err = term.Do("id -un"); err != nil {
		t.Error(err)
	}
	term.Close()
	over(term, strings.TrimSpace(name), "")
	b.noGuestLeft(t)
}

// guestElsewhere is everywhere but in front of the machine.
func (b *Booted) guestElsewhere(t *testing.T) {
	refused := regexp.MustCompile(`no guest can come in: ([^\n]*)`)
	for what, c := range map[string]struct{ program, want string }{
		"a pseudo-terminal":  {"exec login guest", "is no terminal of it"},
		"from another place": {atConsole + "exec login -h far.example guest", "guests sit in front of this machine"},
	} {
		term, err := b.Terminal(b.ctx, "sh", "-c", c.program)
		b.check(err)
		// Debian 13's login has a service of its own for other places, which knows no guest.
		which, said, err := term.Expect(patience, refused, asked)
		if err != nil || which == 0 && !strings.Contains(said[1], c.want) {
			t.Errorf("%s: %v; shown:\n%s", what, err, term.Shown())
		}
		term.Close()
	}

	term, name := b.guestIn(t)
	defer term.Close()
	b.Write("/etc/cron.d/guest", "@reboot "+name+" touch /run/lock/by-the-guest\n@reboot bob touch /run/lock/by-bob\n")
	b.Must("sh", "-c", "rm -f /run/crond.reboot; systemctl restart cron.service")
	b.eventually("cron to do what is bob's", func() string { return b.Run("ls", "/run/lock/by-bob").Stderr })
	b.eventually("cron to refuse what is the guest's", func() string {
		said := b.Must("journalctl", "--no-pager", "SYSLOG_IDENTIFIER=CRON")
		if strings.Contains(said, "account "+name+" has expired") {
			return ""
		}
		return said
	})
	if b.Run("test", "-e", "/run/lock/by-the-guest").OK() {
		t.Error("cron ran something of the guest's")
	}
	b.Must("rm", "/etc/cron.d/guest", "/run/lock/by-bob")
	for _, path := range []string{"/run/userdb", "/run/ninefold/guests", "/run/ninefold/guests/home", "/run/systemd/dynamic-uid"} {
		if b.RunAs("bob", "test", "-w", path).OK() {
			t.Errorf("bob can write to %s", path)
		}
	}
	b.check(term.Type("exit\n"))
	if _, err := term.Wait(patience); err != nil {
		t.Error(err)
	}

	b.Must("systemctl", "stop", "sessiond-door.socket", "sessiond.service")
	b.noGuest(t, "no guest can come in: sessiond does not run")
	b.Must("systemctl", "start", "sessiond-door.socket", "sessiond.service")
	b.Must("useradd", "--create-home", "guest")
	b.noGuest(t, "assword")
	if r := b.Run("sessionctl", "guest", "enable"); r.OK() || !strings.Contains(r.Stderr, "there is a user called guest") {
		t.Errorf("guests were let in beside a user of that name: %s", r)
	}
	b.Must("userdel", "--remove", "guest")
}

// guestPrepared logs in to a session that was prepared.
func (b *Booted) guestPrepared(t *testing.T) {
	b.Must("systemctl", "start", "ninefold-guest-pool@1.service")
	var waiting string
	b.eventually("a session to be prepared", func() string {
		list := b.Must("sessionctl", "guest", "list")
		for line := range strings.Lines(list) {
			if f := strings.Fields(line); f[2] == "waiting" {
				waiting = f[0]
				return ""
			}
		}
		return list
	})
	term, name := b.guestIn(t)
	defer term.Close()
	if name != waiting {
		t.Errorf("%s is in, and %s was prepared:\n%s", name, waiting, b.Must("sessionctl", "guest", "list"))
	}
	uid := strings.TrimPrefix(name, "guest-")
	b.want(b.Must("getent", "passwd", name), fmt.Sprintf("%s:x:%s:%s:Guest:/run/ninefold/guests/home:/usr/lib/ninefold/ninefold-guest", name, uid, uid))
	b.Must("systemctl", "stop", "ninefold-guest-pool@1.service")
	if out, _, err := term.Do("id -un; stty size >/dev/null && echo terminal"); err != nil || out != name+"\nterminal\n" {
		t.Errorf("in is %q, %v", out, err)
	}
	b.check(term.Type("exit\n"))
	if _, err := term.Wait(patience); err != nil {
		t.Errorf("%v; shown:\n%s", err, term.Shown())
	}
	b.noGuestLeft(t)
}

func (b *Booted) guestBounds(t *testing.T) {
	b.configure("[guests]\nmost = 1\n")
	term, name := b.guestIn(t)
	b.noGuest(t, "there are 1 already")
	b.Must("sessionctl", "guest", "end", "--all")
	term.Close()
	b.eventually("the guest to be gone", func() string { return b.Run("pgrep", "-u", name, "-l").Stdout })

	b.configure("[guests]\nstay = \"4s\"\n")
	term, name = b.guestIn(t)
	defer term.Close()
	if _, err := term.Wait(patience); err != nil || !strings.Contains(term.Shown(), "your session ends in 2s, and what") || !strings.Contains(term.Shown(), "ended: guests may stay no longer") {
		t.Errorf("%s was to stay for four seconds: %v; shown:\n%s", name, err, term.Shown())
	}
	b.configure("[guests]\nservices = [\"greetd\"]\n")
	b.noGuest(t, "the configuration lets none in by login")
	b.configure("[login]\ndefault = \"marked\"\n")
}
