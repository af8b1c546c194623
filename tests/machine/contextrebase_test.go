package machine

import (
	"strings"
	"testing"

	"ninefold/roots/debian/testrepo"
)

// service is a package of the machine's, with a file that people edit.
func service(version string) testrepo.Deb {
	return testrepo.Deb{Name: "service", Version: version, Files: []testrepo.File{
		{Path: "etc/service.conf", Text: "first = 1\nsecond = 2\nthird = 3\nfourth = 4\nversion = " + version + "\n"},
		{Path: "usr/share/service/" + version, Text: version},
	}, Control: map[string]string{"conffiles": "/etc/service.conf\n"}}
}

// contextRebase changes the machine under a context, and moves it along.
func (b *Booted) contextRebase(t *testing.T, repo *testrepo.Repository) {
	repo.Publish(t, tool("1.0"), toollib("1.0"), service("1.0"))
	b.Must("sh", "-c", "apt-get update -qq && apt-get install -qq -y service; echo motd >/etc/motd; printf '1\\n2\\n3\\n4\\n5\\n' >/etc/list; mkdir -m 755 /etc/opened /etc/closed /etc/both; echo old >/etc/turned; echo old >/etc/turned2")
	b.Must("hc", "new", "mv")
	b.hc("mv", `apt-get install -qq -y tool; sed -i s/second.*/second=mine/ /etc/service.conf; echo mine >>/etc/tool.conf
		useradd -m inside; echo own >/etc/own.conf; chown inside /etc/own.conf; mkdir /srv/tree; ln -s /etc/own.conf /srv/tree/link
		rm /etc/issue.net; echo "of the context" >/etc/motd; sed -i s/2/two/ /etc/list
		cp /bin/cat /srv/tree/reads; setcap cap_dac_override+ep /srv/tree/reads; setfacl -m u:inside:rwx,d:u:inside:r /srv/tree; mkfifo /srv/tree/pipe
		chgrp daemon /etc/opened; chmod 2775 /etc/opened; touch /etc/closed/new /etc/both/new; chmod 700 /etc/both
		echo file >/etc/turned; echo file >/etc/turned2`)
	b.want(b.Must("hc", "rebase", "mv"), "up to date")

	repo.Publish(t, tool("2.0"), toollib("2.0"), service("2.0"))
	b.Must("sh", "-c", `apt-get update -qq && apt-get install -qq -y service; useradd -u 4321 outside; echo 'of the machine' >/etc/motd; sed -i s/5/five/ /etc/list
		chmod 711 /etc/closed /etc/both; rm /etc/turned /etc/turned2; mkdir /etc/turned /etc/turned2; touch /etc/turned/in`)
	out := b.Must("hc", "status", "mv")
	for _, want := range []string{"host moved\n", "^ service 1.0 -> 2.0\n", "would be merged: /etc/service.conf", "would be merged: /etc/passwd", "would conflict: /etc/motd: "} {
		if !strings.Contains(out, want) {
			t.Errorf("status lacks %q: %s", want, out)
		}
	}
	if r := b.Run("hc", "enter", "mv", "--", "cat", "/etc/motd"); r.Stdout != "of the context\n" || !strings.Contains(r.Stderr, "the machine has changed since the context mv was begun") {
		t.Errorf("a context whose machine has moved: %s", r)
	}
	out = b.Must("hc", "rebase", "mv")
	for _, want := range []string{"1 package asked for again", "merged: /etc/service.conf\n", "merged: /etc/list\n", "conflict: /etc/motd: the machine has changed it too", "conflict: /etc/tool.conf: ",
		"left out, a socket, a pipe or a device: /srv/tree/pipe\n", "conflict: /etc/both: owner or mode of the directory", "conflict: /etc/turned: it is a directory on the machine now"} {
		if !strings.Contains(out, want) {
			t.Errorf("rebase does not say %q: %s", want, out)
		}
	}
	const look = `tool; cat /etc/service.conf /etc/motd /etc/list; id -un inside outside 2>&1; stat -c %U /etc/own.conf; cat /srv/tree/link; ls /etc/issue.net 2>&1 || :; ls -d /home/inside; ls /usr/share/service; apt-mark showmanual | grep tool
		getcap /srv/tree/reads; getfacl -cp /srv/tree | grep inside; stat -c '%n %A %G' /etc/opened /etc/closed /etc/both; setpriv --reuid=inside --clear-groups /srv/tree/reads /etc/shadow >/dev/null && echo reads`
	b.want(b.hc("mv", look), `tool 2.0
first = 1
second=mine
third = 3
fourth = 4
version = 2.0
of the machine
1
two
3
4
five
inside
outside
inside
own
ls: cannot access '/etc/issue.net': No such file or directory
/home/inside
2.0
tool
/srv/tree/reads cap_dac_override=ep
user:inside:rwx
default:user:inside:r--
/etc/opened drwxrwsr-x daemon
/etc/closed drwx--x--x root
/etc/both drwx--x--x root
reads`)
	if out := b.Must("hc", "__complete", "settle", "mv", ""); !strings.Contains(out, "/etc/turned2\n") {
		t.Errorf("completing what is to be settled: %s", out)
	}
	// Where a file became a directory, nothing of that goes with one word.
	if r := b.Run("hc", "settle", "mv", "/etc/turned", "--mine"); r.Code != 1 || !strings.Contains(r.Stderr, "a directory that is not empty") {
		t.Errorf("a file for a directory with something in it: %s", r)
	}
	b.hc("mv", "rm /etc/turned/in")
	for _, name := range []string{"/etc/turned", "/etc/turned2", "/etc/both"} {
		b.Must("hc", "settle", "mv", name, "--mine")
	}
	b.want(b.hc("mv", "cat /etc/turned /etc/turned2; stat -c %A /etc/both"), "file\nfile\ndrwx------")
	b.want(b.Must("hc", "status", "mv"), "up to date\nconflict, not settled: /etc/motd: the machine has changed it too\nconflict, not settled: /etc/tool.conf: the machine has changed it too")
	b.want(b.Must("hc", "settle", "mv", "/etc/motd", "--print"), "of the context")
	b.Must("hc", "settle", "mv", "/etc/motd", "--mine")
	b.Must("hc", "settle", "mv", "/etc/tool.conf", "--theirs")
	b.want(b.hc("mv", "cat /etc/motd; tail -n 1 /etc/tool.conf"), "of the context\nof = 2.0")
	b.want(b.Must("hc", "status", "mv"), "up to date")
	b.Must("hc", "undo", "mv")
	b.want(b.hc("mv", "tool; cat /etc/motd; tail -n 1 /etc/tool.conf; id -un outside 2>/dev/null || echo nobody"), "tool 1.0\nof the context\nmine\nnobody")
	b.Must("hc", "redo", "mv")

	// What cannot be had again leaves the context as it is.
	repo.Publish(t, service("3.0"))
	b.Must("sh", "-c", "apt-get update -qq && apt-get install -qq -y service")
	if r := b.Run("hc", "rebase", "mv"); r.Code != 1 || !strings.Contains(r.Stderr, "no archive has tool") || !strings.Contains(r.Stderr, "--without tool") {
		t.Errorf("a package that is gone: %s", r)
	}
	b.want(b.hc("mv", "tool"), "tool 2.0")
	b.want(b.Must("sh", "-c", "ls /var/lib/ninefold/contexts/*/layers | wc -l"), "2")
	if r := b.Run("hc", "rebase", "--without", "toll", "mv"); r.Code != 1 || !strings.Contains(r.Stderr, "toll is none of the packages") {
		t.Errorf("without a package that is not asked for: %s", r)
	}
	b.Must("hc", "rebase", "--without", "tool", "mv")
	b.want(b.hc("mv", "command -v tool || cat /etc/motd"), "of the context")
	b.Must("hc", "delete", "mv")
}
