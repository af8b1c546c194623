package machine

import (
	"fmt"
	"strings"
	"testing"
)

// guestsSeen prints the names of guests that name services know.
const guestsSeen = `for f in /run/userdb/guest-*.user; do test -e "$f" && basename "$f" .user; done; true`

// guests has guests in, looks what the machine knows of them, and that nothing is
// left when they are gone.
func (b *Booted) guests(t *testing.T) {
	mounts := b.hostMounts()
	r := b.Run("sessionctl", "run", "guest", "--", "sh", "-c", "id -un; test -e /etc/ninefold/ninefold.toml && ls -A /home ~ /root /run/user; ls /run/dbus; find / -type s -name host 2>/dev/null; sessionctl host true; echo host=$?; exit 3")
	if lines := strings.Fields(r.Stdout); r.Code != 3 || len(lines) == 0 || !strings.HasPrefix(lines[0], "guest-6") || strings.Contains(r.Stdout, "bob") {
		t.Errorf("the first guest: %s", r)
	}
	if strings.Contains(r.Stdout, "/host\n") || !strings.Contains(r.Stdout, "host=9\n") || !strings.Contains(r.Stderr, "no way to the host") {
		t.Errorf("a guest asks for a command on the host: %s", r)
	}
	first, _, _ := strings.Cut(r.Stdout, "\n")

	// One whose keeper is killed in the middle.
	b.Must("systemd-run", "--unit=guest-keeper", "sessionctl", "run", "guest", "--", "sleep", "1000")
	var name string
	b.eventually("a second guest to be in", func() string {
		for _, f := range strings.Fields(b.Must("sh", "-c", guestsSeen)) {
			if f != first && strings.Contains(b.Run("sessionctl", "guest", "report", f).Stdout, "denied") {
				name = f
				return ""
			}
		}
		return "there is none"
	})
	uid := strings.TrimPrefix(name, "guest-")
	b.want(b.Must("getent", "passwd", uid), fmt.Sprintf("%s:x:%s:%s:Guest:/home/guest:/usr/sbin/nologin", name, uid, uid))
	b.eventually("the guest's command to run", func() string {
		if b.Run("ps", "-U", name, "-o", "comm=").Stdout != "sleep\n" {
			return b.Run("ps", "-ef").Stdout
		}
		return ""
	})
	b.want(b.Must("ps", "-U", name, "-o", "user:32="), name)
	for _, way := range [][]string{
		{"su", "-s", "/bin/sh", "-c", "id", name}, {"sudo", "-u", name, "id"},
		{"ssh", "-o", "BatchMode=yes", name + "@localhost", "id"},
	} {
		if r := b.RunAs("bob", way...); r.OK() || strings.Contains(r.Stdout, "uid=") {
			t.Errorf("bob became the guest: %s", r)
		}
	}
	b.Must("systemctl", "kill", "--signal=SIGKILL", "guest-keeper.service")
	b.eventually("the guest to be gone", func() string { return strings.TrimSpace(b.Run("ps", "-U", name, "-o", "comm=").Stdout) })

	// One that was prepared is in at once, and stays when the pool ends.
	b.Must("systemctl", "start", "ninefold-guest-pool@1.service")
	b.eventually("a guest to come into a session that was prepared", func() string {
		list := b.Must("sessionctl", "guest", "list")
		if !strings.Contains(list, " waiting ") {
			return list
		}
		// The pool hands a session out a moment after its record says so.
		came := b.Must("sessionctl", "run", "guest", "--", "id", "-un")
		for line := range strings.Lines(list) {
			if f := strings.Fields(line); f[0] == strings.TrimSpace(came) && f[2] == "waiting" {
				return ""
			}
		}
		return "in came " + came + list
	})
	b.Must("systemd-run", "--unit=guest-stays", "sh", "-c", "while systemctl -q is-active ninefold-guest-pool@1; do sleep 0.1; done | sessionctl run guest -- sh -c 'cat; echo still here'")
	b.eventually("the guest's command to run", func() string {
		if b.Run("pgrep", "-x", "cat").Stdout == "" {
			return b.Run("ps", "-ef").Stdout
		}
		return ""
	})
	b.Must("systemctl", "stop", "ninefold-guest-pool@1.service")
	b.eventually("the guest to say that it is here", func() string {
		said := b.Run("journalctl", "-u", "guest-stays", "-o", "cat").Stdout
		if strings.Contains(said, "still here") {
			return ""
		}
		return said
	})

	b.Must("systemctl", "is-enabled", "ninefold-guests.timer")
	b.Must("systemctl", "start", "ninefold-guests.service")
	b.want(b.Must("sh", "-c", guestsSeen), "")
	for line := range strings.Lines(b.Must("sessionctl", "guest", "list")) {
		if f := strings.Fields(line); f[0] != "GUEST" && f[2] != "clean" {
			t.Errorf("of a guest something is left: %s", line)
		}
	}
	b.Must("systemctl", "reset-failed", "guest-keeper.service")
	if now := b.hostMounts(); now != mounts {
		t.Errorf("visible on the host are now:\n%s\nand were before:\n%s", now, mounts)
	}

	// What a guest could not have left is found all the same.
	b.Must("sh", "-c", "sessionctl run guest -- true && chown $(basename /run/userdb/guest-*.user .user | cut -d- -f2) $(mktemp /opt/left.XXXXXX)")
	if r := b.Run("sessionctl", "guest", "sweep"); r.Code != 1 || !strings.Contains(b.Must("sessionctl", "guest", "report"), "/opt/left.") {
		t.Errorf("a file of a guest's was not found: %s", r)
	}
	b.Must("sh", "-c", "rm /opt/left.*; sessionctl guest sweep")
	b.want(b.Must("sh", "-c", guestsSeen), "")
}
