package machine

import (
	"slices"
	"strings"
	"testing"
)

// TestTheHostDecides becomes others inside of views, and changes what is the
// host's. The image would let everybody do everything.
func TestTheHostDecides(t *testing.T) {
	for _, suite := range suites() {
		t.Run(suite, func(t *testing.T) {
			t.Parallel()
			b := imagedMachine(t, suite)
			b.Write("/etc/sudoers.d/carol", "carol ALL=(ALL) ALL\n")
			b.Write(profileDir+"marked.toml", marked)
			b.Write(profileDir+"planted.toml", strings.ReplaceAll(imaged, `"login"`, `"planted"`))
			b.Must("sed", "-i", "s/^name = .*/name = \"planted\"/", profileDir+"planted.toml")
			b.Write(profileDir+"loose.toml", strings.ReplaceAll(strings.Split(imaged, "namespace")[0], "imaged", "loose"))
			b.Must("chown", "bob", profileDir+"loose.toml")
			for _, profile := range []string{"marked", "planted"} {
				b.configure("[login]\nown = true\ndefault = \"" + profile + "\"\n")
				t.Run(profile, func(t *testing.T) {
					b := b.For(t)
					b.becomesOthers(t)
					if profile == "planted" {
						b.isGranted(t)
					}
					b.changesTheHost(t)
				})
				for _, user := range People {
					b.gone(user)
				}
			}
			b.configure("[login]\nown = true\ndefault = \"loose\"\n")
			t.Run("untrusted", func(t *testing.T) {
				b := b.For(t)
				if r := b.SSH("bob", "sudo -n id -u"); r.OK() || !strings.Contains(r.Stderr, "no new privileges") {
					t.Errorf("sudo: %s", r)
				}
				b.changesTheHost(t)
				b.gone("bob")
			})
		})
	}
}

func (b *Booted) becomesOthers(t *testing.T) {
	inside := func(user, command string) Result {
		t.Helper()
		return b.SSH(user, "test -e /etc/ninefold-marker && "+command)
	}
	cases := []struct {
		user, command string
		want          string // "" is a refusal
	}{
		{"alice", "sudo -n id -u", "0"},
		{"alice", "sudo -n -i -u bob id -un", "bob"},
		{"bob", "sudo -n id -u", ""},
		{"bob", "echo bob | sudo -S id -u", ""},
		{"bob", "echo | su root -c 'id -u'", ""},
		{"bob", "echo | su carol -c 'id -u'", ""},
		{"bob", "echo wrong | su carol -c 'id -u'", ""},
		{"bob", "echo carol | su carol -c 'id -un'", "carol"},
		{"carol", "sudo -n id -u", ""},
		{"carol", "echo wrong | sudo -S id -u", ""},
		{"carol", "echo carol | sudo -S id -u", "0"},
	}
	// The first login of each by itself; then some at once, since PAM waits after
	// each refusal. With ten at once sshd would turn people away (MaxStartups).
	for _, user := range People {
		inside(user, "true")
	}
	for some := range slices.Chunk(cases, 6) {
		for i, r := range together(len(some), func(i int) Result {
			return b.Machine.SSH(b.ctx, some[i].user, "test -e /etc/ninefold-marker && "+some[i].command)
		}) {
			b.sane(r)
			if want := some[i].want; want == "" && (r.OK() || strings.Contains(r.Stdout, "0") || r.Stderr == "") || want != "" && strings.TrimSpace(r.Stdout) != want {
				t.Errorf("want %q: %s", want, r)
			}
		}
	}
	// Into the other one's own view.
	bob := b.login("bob")
	own := b.ns(bob)
	r := inside("carol", `echo bob | su -l bob -c 'cat /etc/ninefold-marker; echo; id -un; readlink /proc/self/ns/mnt'`)
	if f := strings.Fields(r.Stdout); len(f) != 3 || f[1] != "bob" || f[2] != own {
		t.Errorf("su -l inside (bob's view is %s): %s", own, r)
	}
	bob.Close()
	// What the host changes counts in views that live.
	term := b.login("carol")
	do := func(command, want string) {
		t.Helper()
		out, _, err := term.Do(command)
		b.check(err)
		if !strings.Contains(out, want) {
			t.Errorf("%s: want %q, got\n%s", command, want, out)
		}
	}
	do("echo carol | sudo -Sk id -un", "root")
	b.Must("sh", "-c", "echo carol:changed | chpasswd")
	do("echo carol | sudo -Sk id -un; echo code=$?", "code=1")
	do("echo changed | sudo -Sk id -un", "root")
	b.Must("mv", "/etc/sudoers.d/carol", "/root/")
	do("echo changed | sudo -Sk id -un; echo code=$?", "code=1")
	b.Must("mv", "/root/carol", "/etc/sudoers.d/")
	b.Must("sh", "-c", "echo carol:carol | chpasswd")
	b.check(term.Type("exit\n"))
	if _, err := term.Wait(patience); err != nil {
		t.Error(err)
	}
}

// isGranted asks setuid programs of the image for what its files would give bob, and
// the host's do not: root's ids, and a mount with setuid programs of his own.
func (b *Booted) isGranted(t *testing.T) {
	for _, kind := range []string{"uid", "gid"} {
		r := b.SSH("bob", "unshare -U sleep 5 & sleep 1; new"+kind+"map $! 0 0 1; echo code=$?; cat /proc/$!/"+kind+"_map")
		if strings.TrimSpace(r.Stdout) != "code=1" || r.Stderr == "" {
			t.Errorf("ids that the host does not give: %s", r)
		}
	}
	if r := b.SSH("bob", "truncate -s 16M ~/disk && mount /mnt"); r.OK() || !strings.Contains(r.Stderr, "/mnt") {
		t.Errorf("a mount that the host does not let him do: %s", r)
	}
}

// changesTheHost tries to change what a view has no part in: it must not look
// as if it worked.
func (b *Booted) changesTheHost(t *testing.T) {
	state := func() string {
		return b.Must("sh", "-c", "sha256sum /etc/passwd /etc/shadow /etc/group /etc/gshadow; ls /var/spool/cron/crontabs")
	}
	before := state()
	for _, command := range []string{
		"printf 'bob\\nnew-Secret1\\nnew-Secret1\\n' | passwd", "echo bob | chsh -s /bin/sh", "echo bob | chfn -h 1",
		"echo '* * * * * true' | crontab -", "crontab -l", "/usr/bin/passwd -S", "echo true | at now", "/usr/sbin/useradd x",
	} {
		if r := b.SSH("bob", command); r.Code != 8 || r.Stdout != "" || !strings.Contains(r.Stderr, "are the host's") {
			t.Errorf("%s", r)
		}
	}
	if after := state(); after != before {
		t.Errorf("the host had:\n%s\nand has:\n%s", before, after)
	}
}
