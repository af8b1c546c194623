package machine

import (
	"strings"
	"sync"
	"testing"
)

// fuseTurn is for machines that run beside each other: their kernel is one, and the
// daemon of either cuts off the file systems of alice's uid on both.
var fuseTurn sync.Mutex

// hostHostile has alice do to the broker what would keep others from it, or have it
// take one process for another.
func (b *Booted) hostHostile(t *testing.T) {
	b.bring("./stranger")
	b.Write("/etc/ninefold/host.policy.d/10.policy", "ninefold 1\nallow user bob profile marked as self run /usr/bin/true\nallow user alice profile none as self run /usr/bin/cat\n")
	b.reloaded()
	served := func(what string) {
		t.Helper()
		if r := b.SSH("bob", "cat /etc/ninefold-marker && sessionctl host --user bob true && sessionctl list >/dev/null"); r.Stdout != "marked" || !r.OK() {
			t.Errorf("bob, while %s: %s", what, r)
		}
	}

	// Files of a file system that answers nothing any more. The daemon can only be ended
	// when it has closed them.
	fuseTurn.Lock()
	over := sync.OnceFunc(fuseTurn.Unlock)
	defer over()
	b.Must("sh", "-c", "test -e /dev/fuse || mknod /dev/fuse c 10 229; chmod 666 /dev/fuse")
	hanging := b.background("alice", "stranger hang")
	b.eventually("the strange files to be passed", func() string { return missing(hanging.shown(), "asked\n") })
	served("descriptors hang")
	b.eventually("the strange file system to be cut off", func() string {
		return missing(b.Must("journalctl", "--no-pager", "-u", "sessiond"), "FUSE file systems are cut off")
	})
	hanging.end()
	hanging = b.background("alice", "stranger hang")
	b.eventually("the strange files to be passed", func() string { return missing(hanging.shown(), "asked\n") })
	b.Must("systemctl", "restart", "sessiond.service")
	hanging.end()
	served("the daemon has started anew")
	over()

	// What lies in a mount namespace of alice's own is copied instead.
	b.Must("sh", "-c", "echo copied >/home/alice/copied")
	own := b.background("alice", "unshare -Urm sh -c 'echo $$; exec sleep 600'")
	b.eventually("alice's namespace", func() string { return missing(own.shown(), "\n") })
	r := b.Run("sh", "-c", "cd /; nsenter --mount --target "+strings.TrimSpace(own.shown())+" setpriv --reuid=alice --regid=alice --init-groups sessionctl host --user alice cat </proc/"+
		strings.TrimSpace(own.shown())+"/root/home/alice/copied")
	if r.Stdout != "copied\n" || r.Code != 0 {
		t.Errorf("a file in a namespace of the caller's: %s", r)
	}
	own.end()

	// A process that has ended, and whose number another one has.
	if r := b.Run("unshare", "--mount", "sh", "-c", "mount -o remount,bind,rw /proc/sys && stranger reused"); !r.OK() || b.Run("test", "-e", "/root/reused").OK() {
		t.Errorf("a number that another process has by now: %s", r)
	}

	// More conversations than there are descriptors.
	b.Write("/etc/systemd/system/sessiond.service.d/few.conf", "[Service]\nLimitNOFILE=256\n")
	b.Must("systemctl", "daemon-reload")
	b.Must("systemctl", "restart", "sessiond.service")
	flood := b.background("alice", "stranger hold")
	b.eventually("conversations to be refused", func() string {
		if r := b.SSH("alice", "sessionctl host true"); r.OK() || !strings.Contains(r.Stderr, "too many commands of yours") {
			return r.String()
		}
		return ""
	})
	served("conversations flood the daemon")
	flood.end()
	b.Must("rm", "-r", "/etc/systemd/system/sessiond.service.d")
	b.Must("systemctl", "daemon-reload")
	b.Must("systemctl", "restart", "sessiond.service")
	b.Must("rm", "/etc/ninefold/host.policy.d/10.policy")
	b.reloaded()
}

// hostInSession: a shell in another session of one's own, at a terminal.
func (b *Booted) hostInSession(t *testing.T) {
	b.gone("alice")
	other, term := b.login("alice"), b.login("alice")
	id, _, err := other.Do("echo id=$XDG_SESSION_ID.; echo here >/tmp/of-that-session")
	b.check(err)
	_, id, _ = strings.Cut(id, "id=")
	id, _, _ = strings.Cut(id, ".")
	b.check(term.Type("sessionctl host --in " + id + "\n"))
	b.shows(term, `alice@machine:\S* *\$ $`)
	for command, want := range map[string]string{"tty": "/dev/pts/", "id -un": "alice", "cat /etc/ninefold-marker /tmp/of-that-session": "markedhere"} {
		if out, _, err := term.Do(command); err != nil || !strings.Contains(out, want) {
			t.Errorf("%s in it: want %q: %q, %v", command, want, out, err)
		}
	}
	b.check(term.Type("stty -echo; sleep 600; echo interrupted=$?\n"))
	b.eventually("it to wait", func() string { return b.wanted("sleep 600", true) })
	b.check(term.Type("\x03"))
	b.shows(term, `\$ $`)
	b.eventually("it to be interrupted", func() string { return b.wanted("sleep 600", false) })
	b.check(term.Type("exit 3\n"))
	b.shows(term, `\$ $`)
	if out, _, err := term.Do("echo was=$?; stty -a | grep -c ' echo '"); err != nil || !strings.Contains(out, "was=3") && !strings.Contains(out, "1") {
		t.Errorf("after it: %q, %v", out, err)
	}
	term.Close()
	other.Close()
}
