package machine

import (
	"strings"
	"testing"
)

// contextSize fills a bounded context, and the disk below notices nothing of it.
func (b *Booted) contextSize(t *testing.T) {
	b.Must("sh", "-c", "test -e /dev/loop-control || mknod /dev/loop-control c 10 237; for i in $(seq 0 31); do test -e /dev/loop$i || mknod -m 660 /dev/loop$i b 7 $i; done")
	for _, size := range []string{"15M", "x", "-1", "2000T"} {
		if r := b.Run("hc", "new", "--size", size, "small"); r.Code != 2 {
			t.Errorf("a size of %s: %s", size, r)
		}
	}
	b.Must("hc", "new", "--size", "64M", "small")
	b.hc("small", "echo mine >/etc/motd; mkdir /srv/made; chown daemon /srv/made")
	b.Must("hc", "snapshot", "small")
	if r := b.Run("hc", "enter", "small", "--", "sh", "-c", "cat /dev/zero >/srv/zeros"); r.Code != 1 || !strings.Contains(r.Stderr, "No space left on device") {
		t.Errorf("a full context: %s", r)
	}
	if r := b.Run("hc", "enter", "small", "--", "apt-get", "install", "-qq", "-y", "tool"); r.OK() || !strings.Contains(r.Stderr, "No space left on device") && !strings.Contains(r.Stderr, "enough free space") {
		t.Errorf("apt in a full context: %s", r)
	}
	b.want(b.hc("small", "cat /etc/motd; dpkg --audit; dpkg-query -W tool 2>/dev/null || echo none"), "mine\nnone")
	if out := b.Must("hc", "list"); !strings.Contains(out, " MiB of 64.0 MiB") {
		t.Errorf("list does not say what it takes and what it may take: %s", out)
	}
	if r := b.Run("hc", "snapshot", "small"); r.Code != 1 || !strings.Contains(r.Stderr, "No space left on device") {
		t.Errorf("a snapshot in a full context: %s", r)
	}
	// Beside it there is room.
	b.Must("hc", "new", "other")
	b.hc("other", "dd if=/dev/zero of=/srv/zeros bs=1M count=80 status=none")
	b.Must("hc", "delete", "other")

	b.Must("hc", "undo", "small")
	b.want(b.hc("small", "cat /etc/motd; stat -c %U /srv/made; ls /srv/zeros 2>&1 || :"), "mine\ndaemon\nls: cannot access '/srv/zeros': No such file or directory")
	// As after the machine's next start.
	b.Must("sh", "-c", "umount "+contextsDir+"/*/layers")
	b.want(b.Must("hc", "diff", "small"), "~ /etc/motd\n+ /srv/made/")
	b.Must("sh", "-c", "umount "+contextsDir+"/*/layers")
	b.want(b.hc("small", "cat /etc/motd"), "mine")
	b.Must("sh", "-c", "umount "+contextsDir+"/*/layers")
	b.want(b.loginOn("small", "", "cat /etc/motd; stat -c %U /srv/made"), "mine\ndaemon")
	// In another namespace of mounts it is the same file system.
	b.Must("unshare", "-m", "sh", "-c", "umount "+contextsDir+"/*/layers && hc enter small -- sh -c 'echo more >>/etc/motd'")
	b.want(b.hc("small", "cat /etc/motd"), "mine\nmore")
	// Whose file system is damaged can be deleted.
	b.Must("sh", "-c", "umount "+contextsDir+"/*/layers; dd if=/dev/zero of=$(echo "+contextsDir+"/*/disk) bs=1M count=8 conv=notrunc status=none")
	if r := b.Run("hc", "enter", "small", "--", "true"); r.OK() || !strings.Contains(r.Stderr, "the disk of the context cannot be had") {
		t.Errorf("a damaged file system: %s", r)
	}
	// Other machines that run meanwhile have loop devices, too.
	ids := "ls " + contextsDir + " | tr '\\n' ' '"
	bounded := b.Must("sh", "-c", ids)
	b.Must("hc", "delete", "small")

	b.Write("/etc/ninefold/ninefold.toml", "[contexts]\nsize = \"32M\"\n")
	b.Must("hc", "new", "told")
	b.hc("told", "cat /dev/zero >/srv/zeros 2>/dev/null || :")
	if out := b.Must("hc", "show", "told"); !strings.Contains(out, " of 32.0 MiB") {
		t.Errorf("the size in ninefold.toml: %s", out)
	}
	bounded += " " + b.Must("sh", "-c", ids)
	b.Must("hc", "delete", "told")
	b.Must("rm", "/etc/ninefold/ninefold.toml")
	b.want(b.Must("sh", "-c", "ls "+contextsDir+"; grep "+contextsDir+" /proc/self/mountinfo; for id in "+bounded+"; do losetup -a | grep $id; done; true"), "")
}
