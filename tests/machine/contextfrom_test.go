package machine

import (
	"strings"
	"testing"

	"ninefold/roots/debian/testrepo"
)

// contextFrom makes contexts of other contexts, and on images.
func (b *Booted) contextFrom(t *testing.T, repo *testrepo.Repository) {
	repo.Publish(t, tool("1.0"), toollib("1.0"))
	b.Must("apt-get", "update", "-qq")
	b.Must("hc", "new", "source")
	b.hc("source", "apt-get install -y -qq tool >/dev/null; echo one >/etc/motd; rm /etc/issue.net; ln /etc/motd /etc/linked")
	const look = "tool; cat /etc/motd; stat -c %h /etc/linked; ls /etc/issue.net 2>/dev/null || echo gone"
	b.Must("hc", "new", "--from", "source", "copy")
	b.hc("copy", "echo two >/etc/motd")
	b.want(b.hc("source", look), "tool 1.0\none\n2\ngone")
	b.loops()
	b.Must("hc", "new", "--from", "source", "--size", "64M", "bounded")
	b.want(b.hc("bounded", look), "tool 1.0\none\n2\ngone")
	for _, args := range [][]string{{"--from", "none", "other"}, {"--from", "../x", "other"}} {
		if r := b.Run(append([]string{"hc", "new"}, args...)...); r.Code != 3 && r.Code != 2 {
			t.Errorf("%q: %s", args, r)
		}
	}
	b.Must("systemctl", "restart", "sessiond")
	b.Must("hc", "commit", "source", "--as", "stood")
	b.Must("hc", "delete", "source")
	b.want(b.hc("copy", look), "tool 1.0\ntwo\n2\ngone")
	b.Must("sh", "-c", madeContexts+" | xargs hc delete")

	// On an image over the machine: what is there already is no difference.
	before := b.untouched()
	b.Must("hc", "new", "--from", "stood", "over")
	b.want(b.hc("over", "tool; rm /usr/bin/tool; echo here >/srv/here"), "tool 1.0")
	b.want(b.Must("hc", "diff", "over"), "+ /srv/here\n- /usr/bin/tool")
	b.want(b.Must("hc", "status", "over"), "up to date")
	b.want(b.untouched(), before)
	b.want(b.loginOn("over", "", "cat /srv/here; ls /usr/bin/tool 2>/dev/null || echo gone; ls /usr/share/toollib"), "here\ngone\nversion")

	// On an image that is a root of its own.
	b.Must("sh", "-ec", `r=/run/tree; mkdir -p $r/etc $r/bin $r/usr $r/tmp $r/root $r/dev $r/proc $r/sys $r/run $r/var
		for p in sh cat ls rm cp; do cp -L /bin/$p $r/bin/; for l in $(ldd /bin/$p | grep -o '/[^ ]*'); do mkdir -p $r${l%/*}; cp -L $l $r$l; done; done
		echo image >$r/etc/motd; echo root:x:0:0::/root:/bin/sh >$r/etc/passwd
		sessionctl key new vouch >/run/vouch.pub; sessionctl key trust vouch /run/vouch.pub --scope '**'
		sessionctl image import $r --name small/root:1 --sign vouch`)
	b.Must("sh", "-c", "test -e /etc/resolv.conf || echo '# of the machine' >/etc/resolv.conf")
	b.Must("hc", "new", "--from", "small/root:1", "apart")
	b.want(b.hc("apart", "cat /etc/motd; ls /usr/bin/apt 2>/dev/null || echo no apt; echo mine >/etc/mine; rm /etc/motd; cat /etc/resolv.conf"), "image\nno apt\n"+b.Must("cat", "/etc/resolv.conf"))
	b.want(b.Must("hc", "diff", "apart"), "+ /etc/mine\n- /etc/motd")
	b.Write(profileDir+"apart.toml", "version = 1\nbase = \"context:apart\"\n")
	b.want(b.Must("sessionctl", "run", "--user", "root", "apart", "--", "/bin/sh", "-c", "cat /etc/mine; ls /etc/motd /usr/bin/apt 2>/dev/null || echo gone"), "mine\ngone")
	b.Must("rm", profileDir+"apart.toml")
	// Its name moves, and what nothing else names stays for it.
	b.Must("sh", "-ec", "echo another >/run/tree/etc/motd; sessionctl image import /run/tree --name small/root:1 --sign vouch; sessionctl image gc")
	if out := b.Must("hc", "status", "apart"); !strings.HasPrefix(out, "image moved\n") {
		t.Errorf("an image whose name moved: %s", out)
	}
	b.want(b.hc("apart", "cat /etc/mine; ls /etc/motd 2>/dev/null || echo gone"), "mine\ngone")
	out := b.Must("hc", "rebase", "apart")
	if !strings.Contains(out, "conflict: /etc/motd") {
		t.Errorf("rebase on an image that changed a file that was removed: %s", out)
	}
	b.want(b.hc("apart", "cat /etc/mine /etc/motd"), "mine\nanother")
	b.want(b.Must("hc", "status", "apart"), "up to date\nconflict, not settled: /etc/motd: it was removed in the context, and the machine may have changed it")
	b.Must("hc", "undo", "apart")
	b.want(b.hc("apart", "ls /etc/motd 2>/dev/null || echo gone"), "gone")
	b.Must("hc", "delete", "apart", "over")
	if out := b.Must("sessionctl", "image", "gc"); !strings.Contains(out, "deleted 1 images") {
		t.Errorf("after the context was deleted: %s", out)
	}
	b.Must("sh", "-c", "rm -r /etc/ninefold/recipes/stood.* /etc/ninefold/trust.d /run/tree")
}

// keeper is a package of the machine's that a pinned context keeps as it was.
func keeper(version string) testrepo.Deb {
	return testrepo.Deb{Name: "keeper", Version: version, Files: []testrepo.File{
		{Path: "usr/share/keeper/version", Text: version + "\n"}, {Path: "usr/share/keeper/" + version, Text: version + "\n"},
		{Path: "etc/keeper.conf", Text: "one\ntwo\nthree\nversion = " + version + "\n"}}, Control: map[string]string{"conffiles": "/etc/keeper.conf\n"}}
}

// contextPinned cuts contexts loose from the machine, upgrades that, and brings them
// back.
func (b *Booted) contextPinned(t *testing.T, repo *testrepo.Repository) {
	repo.Publish(t, tool("1.0"), toollib("1.0"), keeper("1.0"))
	b.Must("sh", "-c", "apt-get update -qq && apt-get install -qq -y keeper; echo of the machine >/etc/pinned; echo before >/home/alice/live")
	b.Must("hc", "new", "late")
	b.hc("late", "echo one >>/home/alice/live; mkdir /home/alice/made; sed -i s/two/zwei/ /etc/keeper.conf; apt-get install -qq -y tool")
	if r := b.Run("hc", "new", "--pinned", "pinned"); !r.OK() || !strings.Contains(r.Stderr, "copying the machine: ") && !strings.Contains(r.Stderr, "shares the disk") {
		t.Fatalf("new --pinned: %s", r)
	}
	b.Must("hc", "pin", "late")
	for _, c := range [][]string{{"pin", "late"}, {"rebase", "late"}} {
		if r := b.Run(append([]string{"hc"}, c...)...); r.Code != 1 || !strings.Contains(r.Stderr, "cut loose from the host") {
			t.Errorf("%q of a context that is pinned: %s", c, r)
		}
	}
	b.hc("pinned", "apt-get install -qq -y tool")

	repo.Publish(t, tool("2.0"), toollib("2.0"), keeper("2.0"))
	b.Must("sh", "-c", "apt-get update -qq && apt-get install -qq -y keeper; echo changed >/etc/pinned; rm /etc/issue.net; echo after >/home/alice/new")
	const look = "cat /usr/share/keeper/version /etc/pinned; ls /etc/issue.net; dpkg-query -W -f '${Version}\\n' keeper; tool; cat /home/alice/new"
	b.want(b.hc("pinned", look), "1.0\nof the machine\n/etc/issue.net\n1.0\ntool 1.0\nafter")
	b.want(b.hc("late", look+"; cat /home/alice/live; ls -d /home/alice/made; sed -n 2p /etc/keeper.conf"), "1.0\nof the machine\n/etc/issue.net\n1.0\ntool 1.0\nafter\nbefore\none\n/home/alice/made\nzwei")
	b.want(b.loginOn("late", "", look+"; sed -n 2p /etc/keeper.conf"), "1.0\nof the machine\n/etc/issue.net\n1.0\ntool 1.0\nafter\nzwei")
	// As on any context, and over what it stands on.
	b.want(b.Must("hc", "diff", "pinned"), `+ tool 1.0
+ toollib 1.0 (for another package)
+ /etc/systemd/system/multi-user.target.wants/tool.service
+ /var/lib/tool/
! systemctl --system daemon-reload (tool)
! deb-systemd-invoke start tool.service (tool)
! systemctl restart ssh.service (tool)
! sysctl -w kernel.sysrq=1 (tool)`)
	if out := b.Must("hc", "status", "late"); !strings.HasPrefix(out, "cut loose\n^ keeper 1.0 -> 2.0\n") || !strings.Contains(out, "would be merged: /etc/keeper.conf") {
		t.Errorf("status of a context that is pinned: %s", out)
	}
	out := b.Must("hc", "follow", "late")
	for _, want := range []string{"1 package asked for again", "merged: /etc/keeper.conf"} {
		if !strings.Contains(out, want) {
			t.Errorf("follow does not say %q: %s", want, out)
		}
	}
	b.want(b.hc("late", "cat /usr/share/keeper/version /etc/pinned; ls /etc/issue.net 2>/dev/null || echo gone; tool; cat /home/alice/live; ls -d /home/alice/made; cat /etc/keeper.conf"),
		"2.0\nchanged\ngone\ntool 2.0\nbefore\none\n/home/alice/made\none\nzwei\nthree\nversion = 2.0")
	b.want(b.Must("hc", "status", "late"), "up to date")
	b.Must("hc", "undo", "late")
	b.want(b.hc("late", "cat /usr/share/keeper/version; tool; cat /home/alice/live"), "1.0\ntool 1.0\nbefore\none")
	if r := b.Run("hc", "follow", "none"); r.Code != 3 {
		t.Errorf("follow of none: %s", r)
	}
	// The copy of a context that is pinned is pinned to the same.
	b.Must("hc", "new", "--from", "pinned", "copy")
	b.Must("hc", "delete", "pinned")
	b.want(b.hc("copy", look), "1.0\nof the machine\n/etc/issue.net\n1.0\ntool 1.0\nafter")
	b.Must("hc", "delete", "copy", "late")

	// No room, and a package manager at work.
	b.Must("sh", "-c", "mount -t tmpfs -o size=24m,mode=700 tmpfs "+contextsDir)
	if r := b.Run("hc", "new", "--pinned", "full"); r.Code != 1 || !strings.Contains(r.Stderr, "to spare") {
		t.Errorf("no room for a pin: %s", r)
	}
	b.want(b.Must("sh", "-c", "ls "+contextsDir+"; umount "+contextsDir), "")
	if r := b.Run("sh", "-c", "perl -e 'use Fcntl; my $l = pack(\"s s l! l! i\", F_WRLCK, 0, 0, 0, 0); open(my $f, \">>\", \"/var/lib/dpkg/lock-frontend\"); fcntl($f, F_SETLK, $l) or die; exit(system(\"hc\", \"new\", \"--pinned\", \"busy\") >> 8)'"); r.Code != 6 || !strings.Contains(r.Stderr, "package manager is at work") {
		t.Errorf("while apt works: %s", r)
	}
	b.want(b.Must("sh", "-c", madeContexts+"; rm /etc/pinned /home/alice/live /home/alice/new"), "")
}
