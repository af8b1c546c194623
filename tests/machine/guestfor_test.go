package machine

import (
	"fmt"
	"strings"
	"testing"
)

// guestRule lets bob have sessions as a guest.
const guestRule = `polkit.addRule(function(a, s) { if (a.id == "org.ninefold.guest.run" && s.user == "bob" && a.lookup("profile") != "host") return polkit.Result.YES; });`

// guestsOfUsers has a user who is not root begin sessions as a guest.
func (b *Booted) guestsOfUsers(t *testing.T) {
	if r := b.SSH("bob", "sessionctl run guest -- id"); r.Code != 124 || !strings.Contains(r.Stderr, "nobody is there to ask") {
		t.Errorf("from another machine, without anybody to ask: %s", r)
	}
	if said := b.Must("pkaction", "--verbose", "--action-id", "org.ninefold.guest.run"); !strings.Contains(said, "implicit any:      auth_admin\n") || !strings.Contains(said+"\n", "implicit active:   yes\n") {
		t.Errorf("polkit knows the action as %s", said)
	}
	b.Write("/etc/polkit-1/rules.d/10-guest.rules", guestRule)
	defer b.Must("rm", "/etc/polkit-1/rules.d/10-guest.rules")
	b.configure("[login]\nown = true\n[guests]\neach = 1\n")
	b.eventually("polkit to read its rule", func() string {
		if r := b.SSH("bob", "sessionctl run guest -- true"); !r.OK() {
			return r.String()
		}
		return ""
	})
	if r := b.SSH("bob", "sessionctl run --guest host -- id"); r.Code != 124 {
		t.Errorf("polkit did not see the profile: %s", r)
	}

	// Nothing of the caller's comes along but streams, and these as pipes.
	r := b.SSH("bob", `cd /var/tmp; export SECRET=1; exec 7</etc/hostname; echo typed >in; sessionctl run guest -- sh -c `+
		`'id -un; pwd; env; for f in /proc/self/fd/*; do readlink $f; done; cat; cat /proc/1/environ; exit 3' <in >out; echo code=$?; cat out; rm in out`)
	if out := r.Stdout; !strings.HasPrefix(out, "code=3\nguest-6") || !strings.Contains(out, "\n/home/guest\n") || !strings.Contains(out, "\ntyped\n") ||
		strings.Contains(out, "SECRET") || strings.Contains(out, "bob") || strings.Contains(out, "hostname") || strings.Count(out, "pipe:[") != 3 {
		t.Errorf("bob as a guest: %s", r)
	}
	r = b.SSH("bob", `script -qec "stty rows 33; sessionctl run guest -- sh -c 'tty; stty size; kill -KILL \$\$'" /dev/null; echo code=$?`)
	if out := strings.ReplaceAll(r.Stdout, "\r", ""); !strings.Contains(out, "/dev/pts/") || !strings.Contains(out, "\n33 ") || !strings.HasSuffix(out, "code=137\n") {
		t.Errorf("bob as a guest on a terminal: %s", r)
	}

	b.guestOfBob(t)
	b.guestInOwnProfile(t)
	b.configure("")
}

// guestOfBob keeps one in, and has others reach for it.
func (b *Booted) guestOfBob(t *testing.T) {
	b.Must("systemd-run", "--unit=bobs", "--uid=bob", "sessionctl", "run", "guest", "--", "sh", "-c", "trap '' TERM HUP; sleep 1000; sleep 1000")
	var name string
	b.eventually("bob's guest to be in", func() string {
		for _, user := range strings.Fields(b.Run("ps", "-C", "sleep", "-o", "user:32=").Stdout) {
			if strings.HasPrefix(user, "guest-6") {
				name = user
				return ""
			}
		}
		return b.Run("ps", "-ef").Stdout + b.Journal("bobs")
	})
	bob := strings.TrimSpace(b.Must("id", "-u", "bob"))
	if said := b.Must("sessionctl", "guest", "report", name); !strings.Contains(said, "for       uid "+bob+"\n") {
		t.Errorf("whose guest it is is not told: %s", said)
	}
	if r := b.SSH("bob", "sessionctl run guest -- id"); r.Code != 125 || !strings.Contains(r.Stderr, "no more sessions as a guest at once") {
		t.Errorf("bob has a second guest: %s", r)
	}
	pid := strings.TrimSpace(b.Must("pgrep", "-x", "-u", name, "sleep"))
	unit := strings.TrimSpace(b.Must("sh", "-c", "systemctl list-units --plain --no-legend 'ninefold-host-"+bob+"-*' | cut -d' ' -f1"))
	for _, user := range []string{"alice", "bob"} {
		for _, way := range []string{
			"sessionctl guest end " + name, "sessionctl guest list | grep " + name, "cat /proc/" + pid + "/environ", "ls -l /proc/" + pid + "/root/", "kill " + pid,
			"nsenter -t " + pid + " -a id", "systemctl stop " + unit, "su -c id " + name, "cat /var/lib/ninefold/guests/taken/*",
		} {
			if r := b.RunAs(user, "sh", "-c", way); r.OK() || strings.Contains(r.Stdout, "uid=6") {
				t.Errorf("%s: %s: %s", user, way, r)
			}
		}
	}
	// Who asked is gone, and the guest ignores that it is told to end.
	b.Must("systemctl", "kill", "--signal=SIGKILL", "bobs.service")
	b.eventually("bob's guest to be gone", func() string { return b.Run("pgrep", "-l", "-u", name).Stdout })
	b.eventually("bob to be let have another", func() string {
		if r := b.SSH("bob", "sessionctl run guest -- true"); !r.OK() {
			return r.String()
		}
		return ""
	})
	b.Must("systemctl", "reset-failed", "bobs.service")
}

// guestInOwnProfile has bob be a guest in a profile that bob wrote.
func (b *Booted) guestInOwnProfile(t *testing.T) {
	home := strings.TrimSpace(b.Must("stat", "-c", "%a", "/home/bob"))
	b.SSH("bob", "mkdir -p ~/.config/ninefold/profiles ~/public ~/closed; chmod 700 ~/closed; echo shown >~/public/file; chmod 711 ~; chmod 755 ~/public")
	b.Write("/home/bob/.config/ninefold/profiles/mine.toml", `version = 1
name = "mine"
namespace = """
bind -r /home/bob/public /tmp/public
"""
[environment]
MINE = "yes"
[limits]
nproc = "unlimited"
`)
	b.Must("chown", "bob:", "/home/bob/.config/ninefold/profiles/mine.toml")
	const look = " -- bash -c 'echo $MINE; ulimit -u; cat /tmp/public/file; ls /home/bob'"
	want := fmt.Sprintf("yes\n%d\nshown\n", 2048)
	for _, name := range []string{"mine", "'~mine'"} {
		if r := b.SSH("bob", "sessionctl run --guest "+name+look); !strings.HasPrefix(r.Stdout, want) || r.OK() {
			t.Errorf("bob as a guest in a profile of bob's: %s", r)
		}
	}
	b.Must("sed", "-i", "s,/home/bob/public ,/home/bob/closed ,", "/home/bob/.config/ninefold/profiles/mine.toml")
	if r := b.SSH("bob", "sessionctl run --guest mine"+look); strings.Contains(r.Stdout, "shown") {
		t.Errorf("the guest looks into what is bob's alone: %s", r)
	}
	b.Must("sh", "-c", "mv /home/bob/.config/ninefold/profiles/mine.toml /home/alice/; ln -s /home/alice/mine.toml /home/bob/.config/ninefold/profiles/mine.toml")
	if r := b.SSH("bob", "sessionctl run --guest mine"+look); r.Code != 125 {
		t.Errorf("a link leads to a profile of bob's: %s", r)
	}
	b.Must("sh", "-c", "rm -r /home/bob/.config/ninefold /home/bob/public /home/bob/closed; chmod "+home+" /home/bob; rm /home/alice/mine.toml")
}
