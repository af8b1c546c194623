package machine

import "strings"

// contextCommit makes an image of a context, and logs in on it.
func (b *Booted) contextCommit() {
	before := b.untouched()
	b.Must("hc", "new", "work")
	b.hc("work", `apt-get install -y -qq tool >/dev/null; echo ours >/etc/tool.conf; mkdir -m 750 /srv/data; echo one >/srv/data/one; ln /srv/data/one /srv/data/two
		cp /bin/cat /usr/local/bin/reads; setcap cap_dac_override+ep /usr/local/bin/reads; rm /etc/issue.net; ln -sf tool /usr/bin/also
		chown daemon: /srv/data /srv/data/one; useradd -m person; echo 'root:secret' | chpasswd
		mknod /srv/pipe p; touch /home/mine /root/mine`)
	b.want(b.untouched(), before)
	if r := b.Run("hc", "commit", "work"); r.Code != 2 {
		b.t.Errorf("without a name: %s", r)
	}
	if r := b.Run("hc", "commit", "work", "--as", "Not/a name"); r.OK() || b.Run("ls", "/etc/ninefold/recipes").Stdout != "" {
		b.t.Errorf("a name that is none: %s", r)
	}
	b.loops()
	b.Must("systemctl", "restart", "sessiond")
	out := b.Must("hc", "commit", "work", "--as", "work")
	for _, want := range []string{"left out: /etc/passwd: the new line of person\n", "left out: /etc/shadow: the changed line of root\n",
		"left out: /home: ", "left out: /root: ", "by the recipe /etc/ninefold/recipes/work.toml\n"} {
		if !strings.Contains(out, want) {
			b.t.Errorf("commit does not say %q: %s", want, out)
		}
	}
	if r := b.Run("hc", "commit", "work", "--as", "work"); r.Code != 1 || !strings.Contains(r.Stderr, "--replace") {
		b.t.Errorf("over a recipe: %s", r)
	}
	id := b.Must("sh", "-c", "sessionctl image list --json | sha256sum")
	b.Must("hc", "commit", "work", "--as", "work", "--replace")
	b.want(b.Must("sh", "-c", "sessionctl image list --json | sha256sum"), id)
	if out := b.Must("tar", "-tf", "/etc/ninefold/recipes/work.tar"); strings.Contains(out, "shadow") || strings.Contains(out, "dpkg/status") || strings.Contains(out, "mine") {
		b.t.Errorf("the archive has what is the machine's: %s", out)
	}

	b.Write(profileDir+"work.toml", "version = 1\nbase = \"host\"\nruntime = \"work\"\n")
	const look = `tool; also; cat /etc/tool.conf; stat -c '%n %U %a' /srv/data /srv/data/one /usr/bin/tool; cat /srv/data/two; getcap /usr/local/bin/reads; ls /etc/issue.net 2>/dev/null || echo gone
		id -u person 2>/dev/null || echo nobody; ls /home/mine 2>/dev/null || echo not mine`
	const want = `tool 1.0
tool 1.0
ours
/srv/data daemon 750
/srv/data/one daemon 644
/usr/bin/tool root 4755
one
/usr/local/bin/reads cap_dac_override=ep
gone
nobody
not mine`
	b.want(b.Must("sessionctl", "run", "--user", "root", "work", "--", "sh", "-c", look), want)
	b.configure("[login]\ndefault = \"work\"\n")
	term := b.stay("alice")
	b.want(b.ask(term, "tool; cat /etc/tool.conf; ls /etc/issue.net 2>/dev/null || echo gone; id -un"), "tool 1.0\nours\ngone\nalice")
	term.Close()
	b.configure("")
	b.Must("hc", "delete", "work")
	b.Must("sh", "-c", "rm /etc/ninefold/recipes/work.* "+profileDir+"work.toml")
}
