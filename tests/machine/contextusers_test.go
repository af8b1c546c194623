package machine

import (
	"strings"
	"testing"

	"ninefold/roots/debian/testrepo"
)

// bobs runs a command of bob's, who is not root, and wants it to succeed.
func (b *Booted) bobs(command string) string {
	b.t.Helper()
	r := b.SSH("bob", command)
	if !r.OK() {
		b.t.Fatalf("bob: %s: %s", command, r)
	}
	return strings.TrimSpace(r.Stdout)
}

// contextUsers has users who are not root make and use contexts of their own.
func (b *Booted) contextUsers(t *testing.T, repo *testrepo.Repository) {
	b.loops()
	repo.Publish(t, tool("1.0"), toollib("1.0"))
	b.Must("apt-get", "update", "-qq")
	b.configure("[contexts]\neach = 2\nuser_size = \"64M\"\n")
	defer b.configure("")
	asBefore := func() string { // but for the file systems of bounded contexts, which stay mounted
		text := b.untouched()
		return text[:strings.LastIndex(text, "\n")]
	}
	before := asBefore()
	b.bobs("hc new foo")
	b.bobs(`hc enter foo -- sh -ec 'test $(id -u) = 0; apt-get update -qq; apt-get install -qq -y tool >/dev/null; test "$(tool)" = "tool 1.0"; useradd -m eve; echo eve:pass | chpasswd; getent shadow eve | grep -q ^eve:; echo mine >>/etc/motd; systemctl is-enabled -q tool.service'`)
	b.want(b.bobs("hc diff foo | grep -v ' /etc/[a-z]*[-~]$'"), `+ tool 1.0
+ toollib 1.0 (for another package)
~ /etc/group
~ /etc/gshadow
~ /etc/motd
~ /etc/passwd
~ /etc/shadow
~ /etc/subgid
~ /etc/subuid
+ /etc/systemd/system/multi-user.target.wants/tool.service
+ /home/eve/
+ /home/eve/.bash_logout
+ /home/eve/.bashrc
+ /home/eve/.profile
+ /var/lib/tool/
! systemctl --system daemon-reload (tool)
! deb-systemd-invoke start tool.service (tool)
! systemctl restart ssh.service (tool)
! sysctl -w kernel.sysrq=1 (tool)`)
	b.want(asBefore(), before)
	// On a terminal, with its size, and the command's status.
	r := b.SSH("bob", `script -qec "stty rows 33; hc enter foo -- sh -c 'tty; stty size; exit 7'" /dev/null; echo code=$?`)
	if out := strings.ReplaceAll(r.Stdout, "\r", ""); !strings.Contains(out, "33 ") || !strings.HasSuffix(out, "code=7\n") {
		t.Errorf("bob on a terminal: %s", r)
	}
	b.usersSecrets(t)
	before = asBefore() // but for what the machine's own apt did
	b.usersApart(t)
	b.usersStates(t)
	b.want(asBefore(), before)
	b.usersRefused(t)
	b.bobs("hc delete foo")
}

// usersSecrets has root of bob's context reach for what bob may not read.
func (b *Booted) usersSecrets(t *testing.T) {
	b.Must("sh", "-c", "echo the secret >/etc/secret; chmod 600 /etc/secret; echo what was open >/var/lib/late; mkdir -m 700 -p /root/deep; echo the secret >/root/deep/file; echo the secret >/home/alice/file; chmod 700 /home/alice; chmod 644 /home/alice/file")
	hash := strings.TrimSpace(b.Must("sh", "-c", "getent shadow alice | cut -d: -f2"))
	if len(hash) < 10 {
		t.Fatalf("alice has no password: %q", hash)
	}
	b.bobs("hc new dark")
	const look = `cat /etc/shadow /etc/gshadow /etc/ssh/ssh_host_*_key /etc/sudoers /etc/secret /root/deep/file /home/alice/file /var/lib/late /etc/shadow- 2>/dev/null
cp -a /etc/ssh /var/tmp/ssh 2>/dev/null; cat /var/tmp/ssh/*_key 2>/dev/null
ln /home/alice/file /srv/x 2>/dev/null && cat /srv/x; mv /root /srv/root 2>/dev/null; cat /srv/root/deep/file 2>/dev/null; chmod -R a+rX /home/alice 2>/dev/null; cat /home/alice/file 2>/dev/null
tar cf - /etc /root /home /var/lib 2>/dev/null | grep -a -e 'the secret' -e 'PRIVATE KEY'
for p in /proc/[0-9]*/root/etc/shadow; do cat $p 2>/dev/null; done
true`
	read := func(when string, secrets ...string) {
		for _, command := range []string{"hc enter dark -- sh -c \"$(cat)\"", "hc diff --all dark", "hc status dark"} {
			out := b.SSH("bob", strings.Replace(command, "$(cat)", strings.ReplaceAll(strings.ReplaceAll(look, "$", `\$`), "\n", "; "), 1)).Stdout
			for _, secret := range append([]string{"the secret", "PRIVATE KEY", hash}, secrets...) {
				if strings.Contains(out, secret) {
					t.Errorf("%s, by %.30s: root of bob's context reads %q", when, command, secret)
				}
			}
			if when == "at first" && command[:8] == "hc enter" && !strings.Contains(out, "what was open") {
				t.Errorf("root of bob's context does not read what bob may: %s", out)
			}
		}
	}
	read("at first")
	// What becomes secret while the context is there.
	b.Must("sh", "-c", "chmod 600 /var/lib/late")
	read("later", "what was open")
	// A conflict and a merge are about what bob may read.
	b.bobs("hc enter dark -- sh -c 'echo bob:x:::::: >>/etc/shadow; mkdir -p /root/deep; echo bobs >/root/deep/file; rm -f /etc/secret; echo bobs >/etc/secret'")
	b.Must("sh", "-c", "apt-get install -qq -y toollib; echo the secret >>/etc/secret")
	if r := b.SSH("bob", "hc rebase dark; hc status dark; hc settle dark /etc/secret --print; hc settle dark /etc/shadow --print"); strings.Contains(r.Stdout, "the secret") || strings.Contains(r.Stdout, hash) {
		t.Errorf("a rebase brings bob what bob may not read: %s", r)
	}
	read("after a rebase", "what was open")
	b.bobs("hc delete dark")
	b.Must("sh", "-c", "apt-get purge -qq -y toollib; rm -r /etc/secret /var/lib/late /root/deep /home/alice/file")
}

// usersApart has two users with a context of one name.
func (b *Booted) usersApart(t *testing.T) {
	if r := b.SSH("alice", "hc new foo && hc enter foo -- sh -c 'cat /etc/motd; command -v tool'"); strings.Contains(r.Stdout, "mine") || strings.Contains(r.Stdout, "tool") {
		t.Errorf("alice sees what is bob's: %s", r)
	}
	b.want(b.bobs("hc list | tail -n +2 | cut -d' ' -f1 | grep -vx default"), "foo")
	if out := b.Must("sh", "-c", "hc list | awk '{print $1, $NF}' | sort"); !strings.Contains(out, "foo alice\nfoo bob") {
		t.Errorf("root sees %s", out)
	}
	for _, way := range []string{"--of bob list", "--for $(id -u bob) list", "list --for=$(id -u bob)", "--for 0 list", "list --of bob", "enter --of bob foo -- true", "--state /tmp list", "list --config=/tmp"} {
		if r := b.SSH("alice", "hc "+way); r.OK() || strings.Contains(r.Stdout, "foo") {
			t.Errorf("alice: hc %s: %s", way, r)
		}
	}
	if r := b.RunAs("alice", "sh", "-c", "ls /var/lib/ninefold/contexts"); r.OK() {
		t.Errorf("alice looks where contexts lie: %s", r)
	}
	b.want(b.Must("hc", "--of", "bob", "diff", "foo"), b.bobs("hc diff foo"))
	b.Must("hc", "--of", "alice", "delete", "foo")
	if r := b.SSH("alice", "hc list"); !r.OK() || strings.Contains(r.Stdout, "foo") {
		t.Errorf("alice, after root deleted hers: %s", r)
	}
}

// usersStates has two of bob's be in a context at once, and goes back and forth.
func (b *Booted) usersStates(t *testing.T) {
	b.Must("systemd-run", "--unit=bobs-first", "--uid=bob", "sessionctl", "context", "enter", "foo", "--", "sh", "-c", "echo 1 >/run/here; exec sleep 600")
	b.eventually("the first to be in", func() string { return b.Run("sh", "-c", "pgrep -f '^sleep 600' >/dev/null || echo nobody").Stdout })
	b.Must("systemd-run", "--unit=bobs-second", "--uid=bob", "sessionctl", "context", "enter", "foo", "--", "sh", "-c", "test -e /run/here && exec sleep 700")
	b.eventually("the second to be in", func() string { return b.Run("sh", "-c", "pgrep -f '^sleep 700' >/dev/null || echo nobody").Stdout })
	if r := b.SSH("bob", "hc snapshot foo"); r.Code != 6 {
		t.Errorf("a snapshot while two are in: %s", r)
	}
	// The first one's going leaves the second one in.
	b.Must("systemctl", "stop", "bobs-first")
	b.eventually("the first to be out", func() string { return b.Run("pgrep", "-f", "^sleep 600").Stdout })
	b.want(b.bobs("hc enter foo -- sh -c 'ls /run/here; pgrep -c sleep'"), "/run/here\n1")
	b.Must("systemctl", "stop", "bobs-second")
	b.eventually("nobody to be in", func() string { return b.Run("pgrep", "-f", "^sleep 700").Stdout })
	b.eventually("a snapshot", func() string {
		if r := b.SSH("bob", "hc snapshot foo"); !r.OK() {
			return r.String()
		}
		return ""
	})
	b.bobs("hc enter foo -- rm /usr/bin/tool; hc undo foo; hc enter foo -- tool; hc redo foo; ! hc enter foo -- tool; hc undo foo; hc rename foo fu; hc rename fu foo; hc run foo -- true; hc show foo | grep -q 'true (status 0'")
}

// usersRefused is what a user is refused.
func (b *Booted) usersRefused(t *testing.T) {
	for command, want := range map[string]struct {
		code int
		text string
	}{
		"hc promote --dry-run foo":   {124, "denied"},
		"hc export foo --to tar x":   {8, "not root's"},
		"hc commit foo --as work":    {124, "not an administrator's context"},
		"hc pin foo":                 {124, "not an administrator's context"},
		"hc new --from image baz":    {124, "not an administrator's context"},
		"hc new --size 65M big":      {2, "at most"},
		"hc new --size 0 big":        {2, "at most"},
		"hc resize foo 65M":          {2, "at most"},
		"hc new ../x":                {2, "not a name"},
		"hc enter nothere":           {3, "no such context"},
		"hc frobnicate":              {2, "unknown command"},
		"hc new one; hc new another": {1, "may have no more"},
	} {
		if r := b.SSH("bob", command); r.Code != want.code || !strings.Contains(r.Stderr, want.text) {
			t.Errorf("%s: %s", command, r)
		}
	}
	b.bobs("hc delete one")
	if r := b.Run("hc", "--of", "bob", "promote", "--dry-run", "foo"); r.Code != 124 || !strings.Contains(r.Stderr, "not an administrator's context") {
		t.Errorf("root promotes what is a user's: %s", r)
	}
	if r := b.RunAs("daemon", "hc", "new", "foo"); r.Code != 124 {
		t.Errorf("a service: %s", r)
	}
	b.Write("/etc/polkit-1/rules.d/10-context.rules", `polkit.addRule(function(a, s) { if (a.id == "org.ninefold.context.use" && s.user == "bob") return polkit.Result.NO; });`)
	b.eventually("polkit to read its rule", func() string {
		if r := b.SSH("bob", "hc list"); r.Code != 124 {
			return r.String()
		}
		return ""
	})
	b.Must("rm", "/etc/polkit-1/rules.d/10-context.rules")
	b.eventually("polkit to forget its rule", func() string { return b.SSH("bob", "hc list").Stderr })
	b.configure("[contexts]\nusers = false\n")
	if r := b.SSH("bob", "hc list"); r.Code != 124 || !strings.Contains(r.Stderr, "contexts.users") {
		t.Errorf("where users are to have none: %s", r)
	}
	b.configure("[contexts]\neach = 2\nuser_size = \"64M\"\n")
}
