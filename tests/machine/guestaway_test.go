package machine

import (
	"strings"
	"testing"
)

// toTerminal switches to a virtual terminal (VT_ACTIVATE, ioctl_vt(2)).
const toTerminal = `open my $t, "+<", "/dev/tty0" or die "/dev/tty0: $!"; ioctl $t, 0x5606, $ARGV[0] + 0 or die "switch: $!"`

// guestAway has a guest at a virtual terminal, who comes back in time, and then does
// not. Machines that are no virtual ones have no such terminals.
func (b *Booted) guestAway(t *testing.T) {
	to := func(terminal string) { b.Must("perl", "-e", toTerminal, terminal) }
	inFront := func(name, want string) {
		b.eventually("logind to have the guest in front: "+want, func() string {
			if got := b.Must("loginctl", "show-user", name, "--property=State", "--value"); got != want {
				return "it is " + got
			}
			return ""
		})
	}
	b.configure("[login]\ndefault = \"marked\"\n[guests]\naway = \"10s\"\n")
	defer b.configure("[login]\ndefault = \"marked\"\n")
	b.Must("sessionctl", "guest", "enable")
	defer b.Run("sessionctl", "guest", "disable")
	to("9")
	defer to("1")
	b.Must("systemd-run", "--unit=at-tty9", "--property=StandardInput=tty", "--property=StandardOutput=tty", "--property=StandardError=tty",
		"--property=TTYPath=/dev/tty9", "--property=IgnoreSIGPIPE=no", "login", "guest")
	defer b.Run("systemctl", "stop", "at-tty9.service")
	name, err := b.SeatGuest(b.ctx, "login")
	b.check(err)
	inFront(name, "active")
	to("8")
	inFront(name, "online")
	to("9")
	inFront(name, "active")
	if in := b.Must("sessionctl", "guest", "status"); !strings.Contains(in, "1 of ") {
		t.Errorf("who came back is gone: %s", in)
	}
	to("8")
	b.guestGone(name)
	if shown := b.Must("cat", "/dev/vcs9"); !strings.Contains(shown, "nobody has come back to it") {
		t.Errorf("the guest was told:\n%s", shown)
	}
}
