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

// guestsAtGreeters has guests come by lightdm and greetd, into desktops.
func (b *Booted) guestsAtGreeters(t *testing.T) {
	const stacks = "cd /etc/pam.d; sha256sum *"
	const settings = "[login]\nchoose = [\"desk\"]\n[guests]\nprofile = \"visitor\"\n"
	before := b.Must("sh", "-c", stacks)
	// The machines of both releases have one state directory, and each has guests of
	// its own.
	b.Must("sh", "-ec", "mkdir -p /var/lib/ninefold/guests; mount -t tmpfs -o mode=0700 guests /var/lib/ninefold/guests")
	defer b.Must("umount", "/var/lib/ninefold/guests")
	b.Write(profileDir+"visitor.toml", visitor)
	b.configure(settings + "away = \"2s\"\n")
	defer b.configure("[login]\nchoose = [\"desk\"]\n")
	b.want(b.Must("sessionctl", "guest", "enable"), "guests can log in by login, lightdm, greetd, as guest")
	defer b.Run("sessionctl", "guest", "disable")
	defer b.Run("systemctl", "stop", "other-screen.service", "lightdm.service", "greetd.service")

	s, err := b.Lightdm(b.ctx, "")
	b.check(err)
	b.check(s.Type(b.ctx, "guest"))
	b.eventually("a guest of lightdm", func() string {
		why := b.guestOnSeat("lightdm")
		if why != "" {
			// For the name, and for the question; a greeter with much to do can miss keys.
			s.run(b.ctx, "xdotool", "key", "Return")
			time.Sleep(2 * time.Second)
		}
		return why
	})
	if _, err := s.Window(b.ctx, greeterTime, "xterm"); err != nil {
		t.Errorf("the guest has no window: %v", err)
	}
	first, server := b.guestIsInside(t, "lightdm", "openbox"), b.Must("pgrep", "-f", "^Xvfb :0 ")
	// Somebody else's X server, whose socket anybody on the host can talk to.
	b.Must("systemd-run", "--unit=other-screen", "Xvfb", ":7", "-ac")
	b.eventually("the other X server", func() string { return b.Run("ls", "/tmp/.X11-unix/X7").Stderr })
	b.want(b.Must("ls", "-A", "/proc/"+b.Must("pgrep", "-u", first, "-x", "openbox")+"/root/tmp/.X11-unix"), "X0")

	// The next one takes the seat, which the first one does not come back to.
	b.configure(settings)
	b.check(b.GreetGreetd(b.ctx, "guest", "", []string{"labwc"}, []string{"XDG_SESSION_TYPE=wayland", "DISPLAY=:7"}))
	b.eventually("a guest of greetd", func() string { return b.guestOnSeat("greetd") })
	b.guestGone(first)
	if _, err := s.Window(b.ctx, greeterTime, "lightdm-gtk-greeter"); err != nil {
		t.Errorf("after the guest: %v", err)
	}
	// What a guest leaves in an X server (XSetCloseDownMode(3)) ends with that.
	if now := b.Must("pgrep", "-f", "^Xvfb :0 "); now == server {
		t.Error("the guest's X server goes on")
	}
	second := b.guestIsInside(t, "greetd", "labwc")
	pid := b.Must("pgrep", "-u", second, "-x", "labwc")
	if environ := b.Must("sh", "-c", "tr '\\0' '\\n' </proc/"+pid+"/environ"); strings.Contains(environ, "DISPLAY=:7") || strings.Contains(environ, "XAUTHORITY") {
		t.Errorf("a guest of greetd was given a screen: %s", environ)
	}
	b.Must("kill", pid) // as if logged out
	b.guestGone(second)
	b.Must("systemctl", "stop", "lightdm.service", "greetd.service")
	b.noGuestLeft(t)
	said := b.Must("sessionctl", "guest", "report", first)
	for _, want := range []string{"service   lightdm\n", "state     clean\n", "lent      /tmp/.X11-unix/X0\n", "look into /home"} {
		if !strings.Contains(said, want) {
			t.Errorf("of the first guest is not known %q:\n%s", want, said)
		}
	}
	b.Must("sessionctl", "guest", "disable")
	if now := b.Must("sh", "-c", stacks); now != before {
		t.Errorf("the PAM stacks are not what they were:\n%s\n%s", now, before)
	}
}

// guestBy is who is in by a service, once the last program of the desktop runs.
const guestBy = `for s in $(loginctl list-sessions --no-legend | awk '$3 ~ /^guest-/ { print $1 }'); do
	if [ "$(loginctl show-session "$s" -p Service --value)" = "$0" ] && [ "$(loginctl show-session "$s" -p Seat --value)" = seat0 ]; then
		loginctl show-session "$s" -p Name --value
	fi
done | while read -r name; do ! pgrep -u "$name" -f '^sleep 86397' >/dev/null || echo "$name"; done`

// guestOnSeat says why no guest is in by a service, or "".
func (b *Booted) guestOnSeat(service string) string {
	if b.Must("sh", "-c", guestBy, service) != "" {
		return ""
	}
	return "there is none: " + b.Run("sh", "-c", "sessionctl guest list; loginctl; journalctl --no-pager -n 30").Stdout
}

// guestIsInside wants the guest's desktop in its session, nothing of it on the host,
// and returns its name.
func (b *Booted) guestIsInside(t *testing.T, service, desktop string) string {
	t.Helper()
	name, host, stood, runs := b.Must("sh", "-c", guestBy, service), b.hostNS(), 0, ""
	for _, p := range b.processes(name) {
		if p.ns == host || p.name == "systemd" {
			t.Errorf("%s: %s of the guest is on the host", service, p.name)
		}
		if b.Run("cmp", "-s", "/proc/"+p.pid+"/exe", "/usr/lib/ninefold/ninefold-guest").OK() {
			stood++
		}
		runs += p.name + "\n"
	}
	if stood != 1 || !strings.Contains(runs, desktop+"\n") {
		t.Errorf("%s: %d programs stand for the guest, of whom there are:\n%s", service, stood, runs)
	}
	return name
}

// guestGone waits until no process of a guest is left.
func (b *Booted) guestGone(name string) {
	b.t.Helper()
	b.eventually("the guest to be gone", func() string { return b.Run("pgrep", "-u", name, "-l").Stdout })
}
