package machine

import (
	"fmt"
	"strings"
	"testing"
)

// keyOf has the kernel keep a key of the uid $ARGV[0] when no process of it is there:
// one that was in a process's credentials when that connected to a socket (unix(7),
// SO_PEERCRED), whose other end is held by root. It says when, and ends with its input.
const keyOf = `use Socket; my $uid = $ARGV[0]; my $name = "/run/key-of-$uid"; unlink $name;
socket(my $l, PF_UNIX, SOCK_STREAM, 0) or die $!; bind($l, sockaddr_un($name)) or die $!; listen($l, 1) or die $!; chmod 0666, $name;
my $child = fork; if (!$child) {
	$) = "$uid $uid"; $( = $uid; $< = $uid; $> = $uid; syscall(250, 1, 0) >= 0 or die "keyctl: $!"; # KEYCTL_JOIN_SESSION_KEYRING
	socket(my $c, PF_UNIX, SOCK_STREAM, 0) or die $!; connect($c, sockaddr_un($name)) or die $!; exit 0;
}
accept(my $held, $l) or die $!; waitpid($child, 0); $? == 0 or die "child: $?"; unlink $name; close $l;
open(my $f, ">", "/run/held-$uid") or die $!; sleep 1000;`

// remainders are what can be left of a guest that holds its id, and how root leaves it
// there, with the uid for $0, and takes it away.
var remainders = []struct{ what, leave, take, told string }{
	{"a file", `install -o "$0" /dev/null /var/tmp/of-a-guest`, `rm /var/tmp/of-a-guest`, "the file /var/tmp/of-a-guest"},
	{"a file of its group", `install -g "$0" /dev/null /opt/of-a-group`, `rm /opt/of-a-group`, "the file /opt/of-a-group"},
	{"a directory in memory", `install -d -o "$0" /run/of-a-guest/deep/er && touch /run/of-a-guest/file`, `rm -r /run/of-a-guest`, "the file /run/of-a-guest/deep/er"},
	{"shared memory", `setpriv --reuid "$0" --regid "$0" --clear-groups ipcmk -M 4096`, `ipcrm --all=shm`, "the IPC object shm"},
	{"semaphores", `setpriv --reuid "$0" --regid "$0" --clear-groups ipcmk -S 1`, `ipcrm --all=sem`, "the IPC object sem"},
	{"a message queue", `setpriv --reuid "$0" --regid "$0" --clear-groups ipcmk -Q`, `ipcrm --all=msg`, "the IPC object msg"},
	{"a process", `systemd-run -q --unit=of-a-guest -p User="$0" -p Group="$0" sleep 1000`, `systemctl stop of-a-guest.service`, "the process "},
	{"a key", `systemd-run -q --unit=key-of-a-guest perl -e '` + keyOf + `' "$0"; until test -e /run/held-"$0"; do systemctl is-active -q key-of-a-guest || exit 1; sleep 0.02; done`,
		`systemctl stop key-of-a-guest.service; rm /run/held-"$0"`, "(keyring _ses)"},
}

// guestRemainders leaves something of guests that are gone, each kind of its own guest:
// its id is held and the report names what holds it, until that is gone.
func (b *Booted) guestRemainders(t *testing.T) {
	names := make([]string, len(remainders))
	for i, r := range remainders {
		names[i] = strings.TrimSpace(b.Must("sessionctl", "run", "guest", "--", "id", "-un"))
		b.Must("sh", "-ec", r.leave, strings.TrimPrefix(names[i], "guest-"))
	}
	// What systemd keeps of a login that was killed on its way, and what it forgets.
	scoped := strings.TrimSpace(b.Must("sessionctl", "run", "guest", "--", "id", "-un"))
	slice := "--slice=user-" + strings.TrimPrefix(scoped, "guest-") + ".slice"
	b.Must("sh", "-c", "systemd-run -q --scope $0 --unit=session-of-a-guest.scope -p RuntimeMaxSec=100ms sleep 1000; true", slice)
	b.eventually("a session's scope to have failed", func() string {
		state := b.Run("systemctl", "is-failed", "session-of-a-guest.scope").Stdout
		if state == "failed\n" {
			return ""
		}
		return state
	})

	// The search that the timer starts, in its service's bounds.
	if r := b.Run("systemctl", "start", "ninefold-guests.service"); r.OK() {
		t.Error("the search found nothing of guests that left something")
	}
	listed := b.Must("sessionctl", "guest", "list")
	for i, r := range remainders {
		report := b.Must("sessionctl", "guest", "report", names[i])
		_, left, _ := strings.Cut(report, "\nleft      ")
		left, _, _ = strings.Cut(left, "\n")
		if !strings.Contains(report, "\nstate     remains\n") || !strings.Contains(left, r.told) {
			t.Errorf("%s is left of %s, which is not reported:\n%.1500s", r.what, names[i], report)
		}
		uid := strings.TrimPrefix(names[i], "guest-")
		b.want(b.Must("getent", "passwd", uid), fmt.Sprintf("%s:x:%s:%s:Guest:/home/guest:/usr/sbin/nologin", names[i], uid, uid))
	}
	for line := range strings.Lines(listed) {
		if f := strings.Fields(line); f[0] == scoped && f[2] != "clean" {
			t.Errorf("a scope that failed holds %s: %s%s", scoped, line, b.Run("systemctl", "list-units", "--all", "session-*").Stdout)
		}
	}
	b.want(b.Must("systemctl", "list-units", "--all", "--plain", "--no-legend", "session-of-a-guest.scope"), "")

	for i, r := range remainders {
		b.Must("sh", "-ec", r.take, strings.TrimPrefix(names[i], "guest-"))
	}
	b.Must("systemctl", "start", "ninefold-guests.service")
	for _, name := range names {
		if report := b.Must("sessionctl", "guest", "report", name); !strings.Contains(report, "\nstate     clean\n") || strings.Contains(report, "\nleft ") {
			t.Errorf("of %s nothing is left, and its id is held:\n%.1500s", name, report)
		}
	}
	b.noGuestLeft(t)
}

// guestsKilled is a slice of the soak: guests at the console whose processes, keepers
// and login programs are killed, and the daemon, and of whom nothing is left.
func (b *Booted) guestsKilled(t *testing.T) {
	b.bring("../soak")
	b.Must("soak", "left", "/run/soak-before")
	b.Must("soak", "guestlogins", "10")
	b.Must("soak", "left", "/run/soak-before")
	b.Must("rm", "/usr/local/bin/soak", "/run/soak-before")
	b.noGuestLeft(t)
}
