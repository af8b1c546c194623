package machine

import (
	"strings"
	"testing"
)

// contextLogin logs in on a context: what is in it is there, what is written goes to
// the login, and nobody writes to the state that a login stands on.
func (b *Booted) contextLogin(t *testing.T) {
	b.Must("hc", "new", "desk")
	b.hc("desk", `apt-get install -y -qq tool >/dev/null; echo ours >/etc/tool.conf; rm /etc/issue.net; rm -r /etc/skel; mkdir /etc/skel; echo new >/etc/skel/only
		useradd --system --uid 321 served; mkdir -m 755 /srv/data; chown served /srv/data; cp /bin/cat /usr/local/bin/reads; setcap cap_dac_override+ep /usr/local/bin/reads
		echo 'carol ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/desk; sed -i '1i auth sufficient pam_permit.so' /etc/pam.d/su; useradd -m person; echo 'root:secret' | chpasswd`)
	b.Write(profileDir+"desk.toml", "version = 1\nbase = \"context:desk\"\n")
	b.configure("[login]\n[login.users]\nalice = \"desk\"\ncarol = \"desk\"\n")
	before := b.untouched()
	const look = `PATH=$PATH:/sbin; tool; cat /etc/tool.conf; ls /etc/issue.net 2>/dev/null || echo gone; ls -A /etc/skel; stat -c '%U %a' /srv/data /usr/bin/tool; getcap /usr/local/bin/reads
		id -u person 2>/dev/null || echo nobody; dpkg-query -W -f '${Version}' tool; echo`
	const want = "tool 1.0\nours\ngone\nonly\nserved 755\nroot 4755\n/usr/local/bin/reads cap_dac_override=ep\nnobody\n1.0"
	b.want(b.Must("sessionctl", "run", "--user", "root", "desk", "--", "sh", "-c", look), want)
	if out := b.Must("sessionctl", "explain", "--user", "alice", "desk"); !strings.Contains(out, "context desk") {
		t.Errorf("explain: %s", out)
	}
	if out := b.Must("sessionctl", "which", "--profile", "desk", "/usr/bin/tool"); !strings.Contains(out, "the context desk") {
		t.Errorf("which: %s", out)
	}

	term := b.stay("alice")
	b.want(b.ask(term, strings.ReplaceAll(look, "\n\t\t", "; ")), want)
	b.want(b.ask(term, "id -un; echo written >/tmp/mine; touch ~/from-desk"), "alice")
	b.want(b.Must("sh", "-c", "ls /home/alice/from-desk; ls /usr/bin/tool /etc/skel/only 2>/dev/null || echo not here; rm /home/alice/from-desk"), "/home/alice/from-desk\nnot here")

	// Nobody writes to it, and it stays.
	if out := b.Must("sh", "-c", "hc list | grep ^desk"); !strings.Contains(out, "logged in on") {
		t.Errorf("list: %s", out)
	}
	for _, args := range [][]string{{"enter", "desk", "--", "true"}, {"delete", "desk"}, {"delete", "--force", "desk"}, {"pin", "desk"}} {
		if r := b.Run(append([]string{"hc"}, args...)...); r.Code != 6 && r.Code != 125 || !strings.Contains(r.Stderr, "logins stand on it") {
			t.Errorf("%q while somebody is logged in on it: %s", args, r)
		}
	}
	b.Must("hc", "snapshot", "desk")
	b.hc("desk", "echo later >/etc/tool.conf; rm /srv/data -r")
	b.want(b.ask(term, "cat /etc/tool.conf; stat -c %U /srv/data"), "ours\nserved")
	b.want(b.Must("sessionctl", "run", "--user", "root", "desk", "--", "cat", "/etc/tool.conf"), "later")
	b.Must("hc", "undo", "desk") // to what alice stands on
	if r := b.Run("hc", "enter", "desk", "--", "true"); r.OK() {
		t.Errorf("enter what somebody is logged in on, after undo: %s", r)
	}
	b.Must("hc", "redo", "desk")
	b.want(b.ask(term, "cat /etc/tool.conf; ls -A /etc/skel"), "ours\nonly")

	// While somebody is in it a login is on the host, and is told.
	b.Must("sh", "-c", "hc enter desk -- sh -c 'touch /run/in; exec sleep 1234' >/dev/null 2>&1 &")
	b.eventually("somebody to be in", func() string { return b.missing("pgrep", "-xf", "sleep 1234") })
	r := b.Run("su", "-l", "carol", "-c", "cat /etc/issue.net >/dev/null && id -un")
	if !r.OK() || !strings.Contains(r.Stdout, "carol") || !strings.Contains(r.Stdout+r.Stderr, "somebody is in it") {
		t.Errorf("a login while somebody is in the context: %s", r)
	}
	b.gone("carol")
	b.Must("pkill", "-xf", "sleep 1234")
	b.eventually("a login on the context", func() string {
		defer b.gone("carol")
		// What the context says of who may become whom gives nobody anything.
		const become = "cat /etc/tool.conf; sudo -n true 2>/dev/null || echo no sudo; su -c true root </dev/null 2>/dev/null || echo no su"
		if r := b.Run("su", "-l", "carol", "-c", become); r.Stdout != "later\nno sudo\nno su\n" {
			return r.String()
		}
		return ""
	})

	term.Close()
	b.gone("alice")
	b.want(b.untouched(), before)
	// What a login keeps lies over the context, and stays when that goes on.
	const keep = "[keep]\nroot = \"user\"\n"
	b.want(b.loginOn("desk", keep, "echo kept >/var/tmp/kept; cat /etc/tool.conf"), "later")
	b.hc("desk", "echo last >/etc/tool.conf")
	b.want(b.loginOn("desk", keep, "cat /var/tmp/kept /etc/tool.conf"), "kept\nlast")
	b.Must("hc", "snapshot", "desk")
	b.want(b.loginOn("desk", keep, "cat /var/tmp/kept /etc/tool.conf"), "kept\nlast")

	// It is gone, and nobody is locked out; a newer one of its name is another.
	b.configure("[login]\n[login.users]\nalice = \"desk\"\n")
	b.Must("hc", "delete", "desk")
	if r := b.Run("su", "-l", "alice", "-c", "id -un"); !r.OK() || !strings.Contains(r.Stdout, "alice") || !strings.Contains(r.Stdout+r.Stderr, "there is no such context") {
		t.Errorf("a login on a context that was deleted: %s", r)
	}
	b.gone("alice")
	b.configure("")
	b.Must("rm", profileDir+"desk.toml")
}

// loginOn has alice log in on a context, by a profile that has more in it, and returns what a
// line of shell printed. She writes, and the context is as before.
func (b *Booted) loginOn(name, more, look string) string {
	b.t.Helper()
	b.Write(profileDir+"on.toml", "version = 1\nbase = \"context:"+name+"\"\nnamespace = \"file /etc/ninefold-marker on\"\n"+more)
	b.configure("[login]\n[login.users]\nalice = \"on\"\n")
	before := b.Must("hc", "diff", "--all", name)
	r := b.Run("su", "-l", "alice", "-c", "set -e; grep -qx on /etc/ninefold-marker; echo mine >/tmp/mine; "+look)
	if !r.OK() {
		b.t.Errorf("a login on the context %s: %s", name, r)
	}
	b.gone("alice")
	b.want(b.Must("hc", "diff", "--all", name), before)
	b.configure("")
	b.Must("rm", profileDir+"on.toml")
	return strings.TrimSpace(r.Stdout)
}

// missing says that a command fails.
func (b *Booted) missing(argv ...string) string {
	if r := b.Run(argv...); !r.OK() {
		return r.String()
	}
	return ""
}
