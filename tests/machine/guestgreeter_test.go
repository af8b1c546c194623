package machine

import (
	"strings"
	"testing"
	"time"
)

// visitor is a guest's profile with a desktop: on the screen that the guest sits
// at where there is one, and else without.
const visitor = `version = 1
name = "visitor"
base = "graphical"
command = ["sh", "-c", "if [ \"$DISPLAY\" ]; then exec openbox --startup 'xterm -e sleep 86397'; else exec labwc -s 'foot sleep 86397'; fi"]

[isolation]
user = "dynamic"

[project]
screen = true

[environment]
WLR_BACKENDS = "headless"
WLR_RENDERER = "pixman"
WLR_LIBINPUT_NO_DEVICES = "1"
`

// machines is a guest's profile with a program of the machine's.
const machines = `version = 1
name = "machines"
command = ["xterm", "-e", "sleep", "86397"]

[isolation]
user = "dynamic"

[project]
screen = true
`

// told is a guest's profile with a session bus that dbus-run-session starts, as desktops
// have one, and what writes down what is to be shown there.
const told = `version = 1
name = "told"
command = ["dbus-run-session", "--", "sh", "-c", "exec dbus-monitor interface=org.freedesktop.Notifications >~/told"]

[isolation]
user = "dynamic"
`

// guestsAtGreeters has guests come by lightdm and greetd, into desktops.
func (b *Booted) guestsAtGreeters(t *testing.T, suite string) {
	const stacks = "cd /etc/pam.d; sha256sum *"
	const settings = "[login]\nchoose = [\"desk\"]\n[guests]\nprofile = \"visitor\"\n"
	before := b.Must("sh", "-c", stacks)
	// The machines of both releases have one state directory, and each has guests of
	// its own.
	b.Must("sh", "-ec", "mkdir -p /var/lib/ninefold/guests; mount -t tmpfs -o mode=0700 guests /var/lib/ninefold/guests")
	defer b.Run("umount", "-l", "/var/lib/ninefold/guests")
	b.Write(profileDir+"visitor.toml", visitor)
	b.configure(settings + "away = \"2s\"\n")
	defer b.configure("[login]\nchoose = [\"desk\"]\n")
	b.want(b.Must("sessionctl", "guest", "enable"), "guests can log in by login, lightdm, greetd, as guest")
	defer b.Run("sessionctl", "guest", "disable")
	defer b.Run("systemctl", "stop", "other-screen.service", "lightdm.service", "greetd.service")

	// On Debian 12 the machine's own programs, by that release's libraries, draw.
	desktop := "openbox"
	if suite == "bookworm" {
		desktop = "xterm"
		b.Write(profileDir+"machines.toml", machines)
		b.Must("sessionctl", "guest", "enable", "--service", "lightdm", "--profile", "machines")
	} else { // where lightdm leaves something that is the guest's
		const file = "/etc/lightdm/lightdm.conf.d/96-cookies.conf"
		b.Write(file, "[LightDM]\nuser-authority-in-system-dir=true\n")
		defer b.Run("rm", file)
	}
	s, first, err := b.GuestAtLightdm(b.ctx)
	b.check(err)
	if _, err := s.Window(b.ctx, greeterTime, "xterm"); err != nil {
		t.Errorf("the guest has no window: %v", err)
	}
	server := b.Must("pgrep", "-f", "^Xvfb :0 ")
	b.guestIsInside(t, first, desktop)
	b.guestIsKnown(t, first)
	b.guestsWays(t, first, "pkexec")
	// Somebody else's X server, whose socket anybody on the host can talk to.
	b.Must("systemd-run", "--unit=other-screen", "Xvfb", ":7", "-ac")
	b.eventually("the other X server", func() string { return b.Run("ls", "/tmp/.X11-unix/X7").Stderr })
	pid := b.Must("pgrep", "-u", first, "-x", desktop)
	b.want(b.Must("ls", "-A", "/proc/"+pid+"/root/tmp/.X11-unix"), "X0")
	for display, reached := range map[string]bool{":0": true, ":7": false} {
		uid := strings.TrimPrefix(first, "guest-")
		r := b.Run("nsenter", "-t", pid, "-m", "-n", "-S", uid, "-G", uid, "env", "XAUTHORITY=/run/ninefold/xauthority", "xdpyinfo", "-display", display)
		if r.OK() != reached {
			t.Errorf("display %s is reached from the guest's session: %v; %s", display, r.OK(), r.Stderr)
		}
		if b.Run("xdpyinfo", "-display", display).OK() == reached {
			t.Errorf("display %s is reached from the host without the cookie: %v", display, !reached)
		}
	}

	// The next one takes the seat, which the first one does not come back to.
	b.configure(settings)
	b.check(b.GreetGreetd(b.ctx, "guest", "", []string{"labwc"}, []string{"XDG_SESSION_TYPE=wayland", "DISPLAY=:7"}))
	second, err := b.SeatGuest(b.ctx, "greetd")
	b.check(err)
	b.guestGone(first)
	if _, err := s.Window(b.ctx, greeterTime, "lightdm-gtk-greeter"); err != nil {
		t.Errorf("after the guest: %v", err)
	}
	// What a guest leaves in an X server (XSetCloseDownMode(3)) ends with that.
	if now := b.Must("pgrep", "-f", "^Xvfb :0 "); now == server {
		t.Error("the guest's X server goes on")
	}
	b.eventually("a program of the guest's", func() string {
		if b.Run("pgrep", "-u", second, "-f", "^sleep 86397").OK() {
			return ""
		}
		return "of the guest run: " + b.Run("ps", "-u", second, "-f").Stdout
	})
	b.guestIsInside(t, second, "labwc")
	pid = b.Must("pgrep", "-u", second, "-x", "labwc")
	if environ := b.Must("sh", "-c", "tr '\\0' '\\n' </proc/"+pid+"/environ"); strings.Contains(environ, "DISPLAY=:7") || strings.Contains(environ, "XAUTHORITY") {
		t.Errorf("a guest of greetd was given a screen: %s", environ)
	}
	b.Must("kill", pid) // as if logged out
	b.guestGone(second)
	// Without a terminal nobody but the keeper sees that what let a guest in is gone.
	b.check(b.GreetGreetd(b.ctx, "guest", "", []string{"labwc"}, []string{"XDG_SESSION_TYPE=wayland"}))
	third, err := b.SeatGuest(b.ctx, "greetd")
	b.check(err)
	b.Must("pkill", "-KILL", "-f", "greetd --session-worker")
	b.guestGone(third)
	b.guestIsTold(t)
	b.configure(settings)
	b.Must("systemctl", "stop", "lightdm.service", "greetd.service")
	b.noGuestLeft(t)
	// Nor what login programs keep for whoever has logged in.
	for _, name := range []string{first, second} {
		b.eventually("no file to be called after "+name, func() string {
			return b.Must("find", "/", "-path", "/proc", "-prune", "-o", "-path", "/sys", "-prune", "-o", "-path", "/var/lib/ninefold", "-prune", "-o",
				"(", "-name", "*"+name+"*", "-o", "-name", strings.TrimPrefix(name, "guest-")+"*", ")", "-print")
		})
	}
	said := b.Must("sessionctl", "guest", "report", first)
	for _, want := range []string{"service   lightdm\n", "state     clean\n", "lent      /tmp/.X11-unix/X0\n", "look into /home"} {
		if !strings.Contains(said, want) {
			t.Errorf("of the first guest is not known %q:\n%s", want, said)
		}
	}
	b.guestIsUnknown(t, first)
	b.guestByEntry(t, desktop)
	b.Must("sessionctl", "guest", "disable")
	if now := b.Must("sh", "-c", stacks); now != before {
		t.Errorf("the PAM stacks are not what they were:\n%s\n%s", now, before)
	}
}

// guestIsTold wants a guest without a terminal to be told, by its session's bus, before its
// time is over. How long one takes until it can be told depends on what else the machine does.
func (b *Booted) guestIsTold(t *testing.T) {
	b.Write(profileDir+"told.toml", told)
	var said string
	for _, stay := range []struct{ all, left string }{{"20s", "10s"}, {"1m20s", "40s"}, {"5m20s", "2m40s"}} {
		b.configure("[guests]\nprofile = \"told\"\nstay = \"" + stay.all + "\"\n")
		b.check(b.GreetGreetd(b.ctx, "guest", "", []string{"labwc"}, []string{"XDG_SESSION_TYPE=wayland"}))
		name, err := b.SeatGuest(b.ctx, "greetd")
		b.check(err)
		in := func() bool { return b.Run("pgrep", "-u", name).OK() }
		for want := "string \"Your session ends in " + stay.left + "\""; in(); time.Sleep(200 * time.Millisecond) {
			// Nobody on that bus shows anything, which is no reason to end.
			const read = `cat "/proc/$(pgrep -u "$0" -x dbus-monitor)/root/home/guest/told"`
			if said = b.Run("sh", "-c", read, name).Stdout; strings.Contains(said, want) && in() {
				b.Run("sessionctl", "guest", "end", name)
				b.guestGone(name)
				return
			}
		}
		b.guestGone(name)
	}
	t.Errorf("a guest was told: %s", said)
}

// guestByEntry takes the entry for guests at lightdm's greeter, with no word typed.
func (b *Booted) guestByEntry(t *testing.T, desktop string) {
	_, err := b.GuestEntry(b.ctx)
	b.check(err)
	name, err := b.SeatGuest(b.ctx, "lightdm")
	b.check(err)
	b.eventually("the guest's desktop", func() string {
		if b.Run("pgrep", "-u", name, "-x", desktop).OK() {
			return ""
		}
		return b.Run("ps", "-u", name, "-f").Stdout
	})
	b.guestIsInside(t, name, desktop)
	b.Must("sessionctl", "guest", "end", name)
	b.guestGone(name)
	// A user of that name does not come in by it without a password.
	b.Must("useradd", "--create-home", "guest")
	s, err := b.GuestEntry(b.ctx)
	b.check(err)
	b.eventually("the entry to be refused", func() string {
		said := b.Must("journalctl", "--no-pager", "SYSLOG_IDENTIFIER=lightdm")
		if strings.Contains(said, "lightdm-autologin:auth): there is a user called guest") {
			return ""
		}
		return said
	})
	_, err = s.Window(b.ctx, greeterTime, "lightdm-gtk-greeter")
	b.check(err)
	if in := b.Run("pgrep", "-u", "guest", "-l"); in.OK() {
		t.Errorf("the user guest came in without a password: %s", in.Stdout)
	}
	b.Must("systemctl", "stop", "lightdm.service")
	b.Must("userdel", "--remove", "guest")
	b.noGuestLeft(t)
}

// guestIsInside wants the guest's desktop in its session, and nothing of it on the host.
func (b *Booted) guestIsInside(t *testing.T, name, desktop string) {
	t.Helper()
	host, stood, runs := b.hostNS(), 0, ""
	for _, p := range b.processes(name) {
		if p.ns == host || p.name == "systemd" {
			t.Errorf("%s of %s is on the host", p.name, name)
		}
		if b.Run("cmp", "-s", "/proc/"+p.pid+"/exe", "/usr/lib/ninefold/ninefold-guest").OK() {
			stood++
		}
		runs += p.name + "\n"
	}
	if stood != 1 || !strings.Contains(runs, desktop+"\n") {
		t.Errorf("%d programs stand for the guest, of whom there are:\n%s", stood, runs)
	}
}

// guestGone waits until no process of a guest is left.
func (b *Booted) guestGone(name string) {
	b.t.Helper()
	b.eventually("the guest to be gone", func() string { return b.Run("pgrep", "-u", name, "-l").Stdout })
}
