package machine

import (
	"strings"
	"testing"
)

// TestLogins logs in by every way and looks where it came out.
func TestLogins(t *testing.T) {
	for _, suite := range suites() {
		t.Run(suite, func(t *testing.T) {
			t.Parallel()
			b := installed(t, suite, Options{})
			units := b.Must("systemctl", "is-system-running")
			if units != "running" {
				t.Errorf("after the installation the machine is %s: %s", units, b.Must("systemctl", "--failed"))
			}
			mounts := b.hostMounts()
			for _, w := range Ways {
				t.Run(w.Name, func(t *testing.T) {
					b := b.For(t)
					p := b.probe(t, w, "bob")
					if p["marker"] != "marked" || p["profile"] != "marked" || p["mnt"] == b.hostNS() || p["cwd"] != "/home/bob" {
						t.Errorf("not in the view: %v", p)
					}
					b.allIn("bob", p["mnt"])
					if r := b.Login(w, "bob", "sh -c 'exit 7'"); r.Code != 7 {
						t.Errorf("a command's exit status is lost: %s", r)
					}
				})
			}
			t.Run("ssh-channels", func(t *testing.T) { b.For(t).sshChannels(t) })
			t.Run("open", func(t *testing.T) { b.For(t).openLogins(t) })
			t.Run("outside", func(t *testing.T) { b.For(t).outside(t) })
			if b.Virtual() {
				t.Run("guest-away", func(t *testing.T) { b.For(t).guestAway(t) })
				t.Run("context", func(t *testing.T) { b.For(t).contextStock() })
				t.Run("context-resized", func(t *testing.T) { b.For(t).contextResized(t) })
			}
			t.Run("afterwards", func(t *testing.T) {
				b := b.For(t)
				b.gone("bob")
				b.gone("alice")
				b.eventually("all views to end", func() string { return b.holders("") })
				if now := b.hostMounts(); now != mounts {
					t.Errorf("visible on the host are now:\n%s\nand were before:\n%s", now, mounts)
				}
				if failed := b.Must("systemctl", "--failed", "--plain", "--no-legend"); failed != "" {
					t.Errorf("units failed: %s", failed)
				}
			})
		})
	}
}

// sshChannels uses what ssh has besides a shell.
func (b *Booted) sshChannels(t *testing.T) {
	b.Write("/run/batch", "get /etc/ninefold-marker /run/by-sftp\nput /etc/hostname /home/bob/by-sftp\n")
	if r := b.Run("sftp", "-b", "/run/batch", "bob@localhost"); !r.OK() || b.Must("cat", "/run/by-sftp") != "marked" {
		t.Errorf("sftp: %s", r)
	}
	for _, old := range [][]string{nil, {"-O"}} { // by sftp, and by scp's own protocol
		args := append(append([]string{"scp"}, old...), "bob@localhost:/etc/ninefold-marker", "/run/by-scp")
		if r := b.Run(args...); !r.OK() || b.Must("cat", "/run/by-scp") != "marked" {
			t.Errorf("%v: %s", args, r)
		}
		b.Must("rm", "/run/by-scp")
	}
	r := b.Run("ssh-agent", "sh", "-c", "ssh-add -q && ssh -A bob@localhost 'ssh-add -l && ssh carol@localhost cat /etc/ninefold-marker'")
	if !r.OK() || !strings.Contains(r.Stdout, "ED25519") || !strings.HasSuffix(strings.TrimSpace(r.Stdout), "marked") {
		t.Errorf("agent forwarding: %s", r)
	}
	r = b.sane(b.Input(b.ctx, strings.NewReader(strings.Repeat("0123456789abcdef", 1<<16)), "ssh", "bob@localhost", "wc -c"))
	if strings.TrimSpace(r.Stdout) != "1048576" {
		t.Errorf("a mebibyte of input: %s", r)
	}
	if r := b.SSH("bob", "echo out; echo err >&2; kill -TERM $$"); r.Stdout != "out\n" || r.Stderr != "err\n" || r.Code == 0 {
		t.Errorf("streams and a signal: %s", r)
	}
	b.gone("carol")
}

// openLogins holds logins of two people open at once.
func (b *Booted) openLogins(t *testing.T) {
	views := map[string]string{}
	for _, user := range []string{"alice", "bob"} {
		for _, program := range [][]string{{"login", user}, {"ssh", "-tt", user + "@localhost"}} {
			term, err := b.LogIn(b.ctx, user, program...)
			b.check(err)
			defer term.Close()
			ns, _, err := term.Do("readlink /proc/self/ns/mnt")
			b.check(err)
			ns = strings.TrimSpace(ns)
			if before := views[user]; before != "" && before != ns {
				t.Errorf("two logins of %s are in two views: %s and %s", user, before, ns)
			}
			views[user] = ns
		}
	}
	if views["alice"] == views["bob"] {
		t.Errorf("two people share a view: %v", views)
	}
	for user, ns := range views {
		b.allIn(user, ns)
	}
	// What alice's root writes stays in alice's view.
	if r := b.SSH("alice", "sudo touch /etc/of-alice && test -e /etc/of-alice && sudo -u bob true && sudo readlink /proc/self/ns/mnt"); !r.OK() || strings.TrimSpace(r.Stdout) != views["alice"] {
		t.Errorf("sudo in the view: %s", r)
	}
	if b.Run("test", "-e", "/etc/of-alice").OK() || b.SSH("bob", "test -e /etc/of-alice").OK() {
		t.Error("what was written in one view is seen outside of it")
	}
	for _, session := range strings.Fields(b.Must("sh", "-c", "loginctl list-sessions --no-legend | awk '$3 == \"alice\" { print $1 }'")) {
		if got := b.Must("loginctl", "show-session", session, "--property=Name", "--value"); got != "alice" {
			t.Errorf("session %s is %s's", session, got)
		}
	}
}

// outside are those who never enter.
func (b *Booted) outside(t *testing.T) {
	host := b.hostNS()
	for name, args := range map[string][]string{
		"root by su":    {"su", "-l", "-c", "readlink /proc/self/ns/mnt"},
		"root by ssh":   {"ssh", "root@localhost", "readlink /proc/self/ns/mnt"},
		"a system user": {"su", "-s", "/bin/sh", "daemon", "-c", "readlink /proc/self/ns/mnt"},
	} {
		if r := b.Run(args...); strings.TrimSpace(r.Stdout) != host || r.Stderr != "" {
			t.Errorf("%s: want %s and nothing said: %s", name, host, r)
		}
	}
	b.configure("[login]\ndefault = \"marked\"\n[login.users]\ncarol = \"none\"\n")
	if p := b.probe(t, Ways[0], "carol"); p["mnt"] != host || p["marker"] != "" {
		t.Errorf("somebody without a profile: %v", p)
	}
	b.gone("carol")
}
