package machine

import "strings"

// contextDecided enters a context by what was decided before, as long as that holds,
// and kills who made its root under somebody else who is in it.
func (b *Booted) contextDecided() {
	b.Must("hc", "new", "dec")
	// Which program does it: the small one decides nothing.
	who := func() string {
		b.t.Helper()
		return b.Must("sh", "-c", `hc enter dec -- sleep 1003 >/dev/null 2>&1 & p=$!
			until pgrep -f '^sleep 1003' >/dev/null; do kill -0 $p || exit 1; sleep 0.05; done
			readlink /proc/$p/exe; kill $p; wait $p; true`)
	}
	small := func() {
		b.t.Helper()
		b.eventually("what was decided to be used", func() string { return strings.TrimPrefix(who(), "/usr/lib/ninefold/sessionctl") })
	}
	small()
	b.Must("mount", "-t", "tmpfs", "tmpfs", "/mnt")
	b.want(who(), "/usr/lib/ninefold/ninefold-ctl")
	small()
	b.want(b.hc("dec", "stat -f -c %T /mnt; mountpoint -q /mnt && echo there; test -x /run/ninefold-context/bin/modprobe && modprobe nothing"), "overlayfs\nthere")
	b.Must("umount", "/mnt")
	b.want(b.Must("hc", "diff", "dec"), "! modprobe nothing")

	b.Must("sh", "-c", `hc enter dec -- sleep 1004 >/dev/null 2>&1 & until pgrep -f '^sleep 1004'; do sleep 0.05; done
		hc enter dec -- sleep 1005 >/dev/null 2>&1 & until pgrep -f '^sleep 1005'; do sleep 0.05; done
		kill -KILL $(pgrep -f '^[^ ]*(hc|sessionctl|ninefold-ctl) .*enter dec -- sleep 1004')`)
	b.eventually("the command of who was killed to end", func() string { return b.Run("pgrep", "-f", "^sleep 1004").Stdout })
	b.want(b.hc("dec", "pgrep -c sleep"), "1")
	b.Must("sh", "-c", "kill $(pgrep -f '^sleep 1005')")
	b.eventually("the other to have left", func() string { return b.Run("hc", "snapshot", "dec").Stderr })
	b.Must("hc", "delete", "dec")
}

// probeDeb makes a package that no archive has.
const probeDeb = `mkdir -p /root/p/DEBIAN; printf 'Package: probe\nVersion: 1\nArchitecture: all\nMaintainer: x <x@x>\nDescription: x\n' >/root/p/DEBIAN/control
	dpkg-deb -b /root/p /root/p.deb >/dev/null
`

// contextLive changes the machine's packages while a context is open: who is in it on
// a terminal is told meanwhile, and who is not in the end.
func (b *Booted) contextLive() {
	const said = "the machine's packages changed while this context is open"
	b.Must("hc", "new", "live")
	b.Must("sh", "-c", `script -qfec "hc enter live -- sleep 1006" /root/terminal >/dev/null 2>&1 </dev/null &
		hc enter live -- sleep 1007 >/root/pipe 2>&1 &
		for s in 1006 1007; do until pgrep -f "^sleep $s"; do sleep 0.05; done; done`)
	tells := func(file string) string {
		if r := b.Run("grep", "-c", said, file); r.Stdout != "1\n" {
			return r.String()
		}
		return ""
	}
	if r := b.Run("sh", "-c", "hc enter live -- true; hc status live"); !r.OK() || strings.Contains(r.String(), said) {
		b.t.Errorf("before the machine has changed: %s", r)
	}
	b.Must("sh", "-ec", probeDeb+"apt-get install -qq -y /root/p.deb")
	b.eventually("the terminal to be told", func() string { return tells("/root/terminal") })
	if r := b.Run("hc", "enter", "live", "--", "true"); !r.OK() || !strings.Contains(r.Stderr, said) {
		b.t.Errorf("who joins is not told: %s", r)
	}
	if out := b.Must("hc", "status", "live"); !strings.Contains(out, said) {
		b.t.Errorf("status: %s", out)
	}
	b.want(b.Must("sh", "-c", "pgrep -c -f '^sleep 100[67]'; cat /root/pipe"), "2")
	b.Must("sh", "-c", "kill $(pgrep -f '^sleep 100[67]')")
	b.eventually("the other to be told", func() string { return tells("/root/pipe") })
	b.eventually("all to have left", func() string { return b.Run("hc", "snapshot", "live").Stderr })
	if r := b.Run("hc", "enter", "live", "--", "true"); !r.OK() || strings.Contains(r.Stderr, said) {
		b.t.Errorf("whoever enters next: %s", r)
	}
	b.Must("sh", "-c", "hc delete live; apt-get purge -qq -y probe; rm -r /root/p /root/p.deb /root/terminal /root/pipe")
}

// contextStock has a context of a kernel as Debian brings it: a package, a changed
// file, a state to go back to, and nothing on the machine.
func (b *Booted) contextStock() {
	b.Must("hc", "new", "stock")
	b.want(b.hc("stock", probeDeb+`dpkg -i /root/p.deb >/dev/null; echo changed >>/etc/motd; awk '{print $1, $3}' /proc/self/uid_map`), "0 65536")
	if out := b.Must("hc", "diff", "stock"); !strings.Contains(out, "+ probe 1\n") || !strings.Contains(out, "~ /etc/motd\n") {
		b.t.Errorf("diff: %s", out)
	}
	b.Must("hc", "snapshot", "stock")
	b.hc("stock", "dpkg -P probe >/dev/null; rm /etc/motd")
	b.Must("hc", "undo", "stock")
	b.want(b.hc("stock", "dpkg-query -W -f '${Version}' probe; tail -n 1 /etc/motd"), "1changed")
	if r := b.Run("sh", "-c", "dpkg -s probe || grep changed /etc/motd"); r.OK() {
		b.t.Errorf("on the machine: %s", r)
	}
	b.Must("hc", "delete", "stock")
}
