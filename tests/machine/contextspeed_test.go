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
