package machine

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
)

const profileDir = "/etc/ninefold/profiles/"

// marked is a profile on the machine's own root with a file that exists
// nowhere else.
const marked = `version = 1
name = "marked"
base = "host"
namespace = """
file /etc/ninefold-marker marked
"""
`

// installed boots a machine with Ninefold in it, where every login is to enter
// the profile "marked".
func installed(t *testing.T, suite string, o Options) *Booted {
	t.Helper()
	b := Boot(t, suite, o)
	b.check(b.Install(b.ctx, "../.."))
	b.Write(profileDir+"marked.toml", marked)
	b.configure("[login]\ndefault = \"marked\"\n")
	return b
}

// configure writes ninefold.toml and waits until it is in force.
func (b *Booted) configure(text string) {
	b.t.Helper()
	b.Write("/etc/ninefold/ninefold.toml", text)
	b.configured()
}

// configured has the configuration as it is now in force. A daemon that is dead
// or hangs, as a test may want it, is left alone.
func (b *Booted) configured() {
	b.t.Helper()
	b.Run("busctl", "call", "--auto-start=no", "--timeout=1", "org.ninefold", "/org/ninefold", "org.ninefold.Manager", "Reload")
	if b.options.State != "" {
		time.Sleep(700 * time.Millisecond) // images are made ready for the profiles
	}
}

// together does n things at once.
func together(n int, do func(i int) Result) []Result {
	results := make([]Result, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { results[i] = do(i) })
	}
	wg.Wait()
	return results
}

// process is one process of a user.
type process struct{ pid, ns, name string }

// processes lists what runs as the user in the machine.
func (b *Booted) processes(user string) []process {
	b.t.Helper()
	const list = `for p in $(pgrep -u "$0"); do echo "$p $(readlink /proc/$p/ns/mnt) $(cat /proc/$p/comm)"; done 2>/dev/null`
	var out []process
	for line := range strings.Lines(b.Must("sh", "-c", list, user)) {
		if f := strings.SplitN(strings.TrimSpace(line), " ", 3); len(f) == 3 && strings.HasPrefix(f[1], "mnt:") {
			out = append(out, process{f[0], f[1], f[2]})
		}
	}
	return out
}

// allIn wants every process of the user, and a user manager among them, in the
// mount namespace ns. The manager's (sd-pam) has no view: it was there before
// the manager was, and keeps the PAM session open.
func (b *Booted) allIn(user, ns string) {
	b.t.Helper()
	manager := false
	for _, p := range b.processes(user) {
		if p.name == "(sd-pam)" {
			continue
		}
		manager = manager || p.name == "systemd"
		if p.ns != ns {
			b.t.Errorf("%s of %s (%s) is in %s, and not in %s", p.name, user, p.pid, p.ns, ns)
		}
	}
	if !manager {
		b.t.Errorf("%s has no user manager", user)
	}
}

// gone ends everything of the user, as a logout and the time that logind waits
// after it would, and returns when there is neither a process nor a view left.
func (b *Booted) gone(user string) {
	b.t.Helper()
	uid := b.Must("id", "-u", user)
	b.Run("loginctl", "terminate-user", user)
	b.Run("systemctl", "stop", "user@"+uid+".service", "user-"+uid+".slice")
	b.Run("pkill", "-KILL", "-u", user)
	b.eventually("the view of "+user+" to end", func() string {
		if p := b.processes(user); len(p) > 0 {
			return fmt.Sprint(p)
		}
		return b.holders(uid)
	})
}

// holders lists the units and records of views of a uid, or of all for "".
func (b *Booted) holders(uid string) string {
	b.t.Helper()
	out := b.Must("sh", "-c", `systemctl list-units --plain --no-legend --all 'ninefold-view-*'; ls /run/ninefold/state/views 2>/dev/null; true`)
	var mine []string
	for line := range strings.Lines(out) {
		if uid == "" || strings.Contains(line, uid) {
			mine = append(mine, strings.TrimSpace(line))
		}
	}
	return strings.Join(mine, "\n")
}

// eventually waits until wrong returns "", and for a minute at most.
func (b *Booted) eventually(what string, wrong func() string) {
	b.t.Helper()
	end := time.Now().Add(time.Minute)
	for {
		w := wrong()
		if w == "" {
			return
		}
		if time.Now().After(end) {
			b.t.Fatalf("waited in vain for %s: %s", what, w)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

func (b *Booted) hostNS() string { b.t.Helper(); return b.Must("readlink", "/proc/1/ns/mnt") }

// hostMounts lists where something is mounted on the host, but for what
// systemd mounts for a while: credentials of services, runtime directories.
func (b *Booted) hostMounts() string {
	b.t.Helper()
	return b.Must("sh", "-c", `awk '$5 !~ "^/run/(user|credentials)/" { print $5 }' /proc/1/mountinfo | sort`)
}
