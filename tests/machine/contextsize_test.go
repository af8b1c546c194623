package machine

import (
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// contextSize fills a bounded context, and the disk below notices nothing of it.
func (b *Booted) contextSize(t *testing.T) {
	b.loops()
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
	for size, want := range map[string]string{"0": "no bound", "": "no bound", "48M": "ext4 does not shrink", "15M": "cannot be the size"} {
		if r := b.Run("hc", "resize", "small", size); r.Code != 2 || !strings.Contains(r.Stderr, want) {
			t.Errorf("resized to %q: %s", size, r)
		}
	}
	if out := b.Must("sessionctl", "__complete", "context", "resize", ""); !strings.Contains(out, "small\n") {
		t.Errorf("completion after resize: %s", out)
	}
	b.contextGrows(t)
	// Beside it there is room.
	b.Must("hc", "new", "other")
	b.hc("other", "dd if=/dev/zero of=/srv/zeros bs=1M count=80 status=none")
	if r := b.Run("hc", "resize", "other", "64M"); r.Code != 2 || !strings.Contains(r.Stderr, "has no bound") {
		t.Errorf("resized without a bound: %s", r)
	}
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

// contextGrows resizes the context "small", which takes 64 MiB and is full, where the
// machine lets a file system grow; a container may not.
func (b *Booted) contextGrows(t *testing.T) {
	held, err := strconv.ParseUint(strings.TrimSpace(b.Must("sh", "-c", "sed -n 's/^CapEff:\t//p' /proc/self/status")), 16, 64)
	b.check(err)
	r := b.Run("hc", "resize", "small", "96M")
	if held&(1<<unix.CAP_SYS_RESOURCE) == 0 {
		if r.Code != 7 || !strings.Contains(r.Stderr, "CAP_SYS_RESOURCE") || !strings.Contains(b.Must("hc", "list"), " MiB of 64.0 MiB") {
			t.Errorf("resized where no file system may grow: %s", r)
		}
		return
	}
	if !r.OK() || !strings.Contains(b.Must("hc", "list"), " MiB of 96.0 MiB") {
		t.Errorf("resize: %s", r)
	}
	b.hc("small", "head -c 16M /dev/zero >/srv/more")
}

// contextResized has a full context take more while somebody is in it, who writes on. It
// is for the stock kernels, with all that root may.
func (b *Booted) contextResized(t *testing.T) {
	b.Must("hc", "new", "--size", "32M", "small")
	b.Must("systemd-run", "--unit=within", "hc", "enter", "small", "--", "sh", "-c",
		"cat /dev/zero >/srv/zeros; echo full >/run/full; until test -e /run/go; do sleep 0.1; done; head -c 40M /dev/zero >/srv/more && echo done >/srv/done")
	b.eventually("it to be full", func() string { return b.Run("hc", "enter", "small", "--", "cat", "/run/full").Stderr })
	b.Must("hc", "resize", "small", "128M")
	b.Must("hc", "enter", "small", "--", "touch", "/run/go")
	b.eventually("what is in it to write on", func() string { return b.Run("hc", "enter", "small", "--", "cat", "/srv/done").Stderr })
	if out := b.Must("hc", "list"); !strings.Contains(out, " MiB of 128.0 MiB") {
		t.Errorf("list does not say what it may take now: %s", out)
	}
	b.Must("hc", "delete", "--force", "small")
	// Not by ssh: bob's logins are in a view here, from which contexts are not made.
	r := b.RunAs("bob", "sh", "-c", "hc new --size 16M own && hc resize own 24M && hc list")
	if !r.OK() || !strings.Contains(r.Stdout, " of 24.0 MiB") {
		t.Errorf("a user's: %s", r)
	}
	if r := b.RunAs("bob", "hc", "resize", "own", "21G"); r.Code != 2 || !strings.Contains(r.Stderr, "at most") {
		t.Errorf("a user's, to more than a user may have: %s", r)
	}
	if r := b.RunAs("bob", "hc", "delete", "own"); !r.OK() {
		t.Error(r)
	}
}
