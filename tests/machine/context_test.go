package machine

import (
	"strings"
	"testing"

	"ninefold/roots/debian/testrepo"
)

// tool is a package whose scripts do what those of services do.
func tool(version string) testrepo.Deb {
	return testrepo.Deb{Name: "tool", Version: version, Fields: map[string]string{"Depends": "toollib"},
		Files: []testrepo.File{
			{Path: "usr/bin/tool", Mode: 0o4755, Text: "#!/bin/sh\necho tool " + version + "\n"},
			{Path: "etc/tool.conf", Text: "one\ntwo\nthree\nof = " + version + "\n"},
			{Path: "lib/systemd/system/tool.service", Text: "[Service]\nExecStart=/bin/sleep infinity\n[Install]\nWantedBy=multi-user.target\n"},
		},
		Control: map[string]string{
			"conffiles": "/etc/tool.conf\n",
			"postinst": "#!/bin/sh\nset -e\nmkdir -p /var/lib/tool\nchown daemon:daemon /var/lib/tool\nid -u nobody >/dev/null\n" +
				"if [ -d /run/systemd/system ]; then\n\tsystemctl --system daemon-reload >/dev/null || true\n\tdeb-systemd-invoke start tool.service >/dev/null || true\n" +
				"\tsystemctl restart ssh.service\n\tsystemctl enable tool.service 2>/dev/null\nfi\nsysctl -w kernel.sysrq=1\n",
		}}
}

func toollib(version string) testrepo.Deb {
	return testrepo.Deb{Name: "toollib", Version: version, Files: []testrepo.File{{Path: "usr/share/toollib/version", Text: version + "\n"}}}
}

// TestContexts installs, changes and removes things in contexts of a booted
// machine by its own apt, and looks that the machine is as it was.
func TestContexts(t *testing.T) {
	for _, suite := range suites() {
		t.Run(suite, func(t *testing.T) {
			repo := testrepo.New(t, "test", "amd64", tool("1.0"), toollib("1.0"))
			b := Boot(t, suite, Options{Plain: true, Nspawn: []string{"--bind=" + repo.Dir + ":/srv/archive"}})
			b.check(b.Install(b.ctx, "../.."))
			b.Write("/etc/apt/sources.list.d/test.list", "deb [trusted=yes] file:/srv/archive test main\n")
			b.Must("sh", "-c", "rm -f /etc/apt/sources.list /etc/apt/sources.list.d/debian*; apt-get update -qq")
			t.Run("try", func(t *testing.T) { b.For(t).contextTry() })
			t.Run("users", func(t *testing.T) { b.For(t).contextUsers(t, repo) })
			t.Run("commit", func(t *testing.T) { b.For(t).contextCommit() })
			t.Run("export", func(t *testing.T) { b.For(t).contextExport(t) })
			t.Run("login", func(t *testing.T) { b.For(t).contextLogin(t) })
			t.Run("rebase", func(t *testing.T) { b.For(t).contextRebase(t, repo) })
			t.Run("decided", func(t *testing.T) { b.For(t).contextDecided() })
			t.Run("live", func(t *testing.T) { b.For(t).contextLive() })
			t.Run("many", func(t *testing.T) { b.For(t).contextMany() })
			t.Run("from", func(t *testing.T) { b.For(t).contextFrom(t, repo) })
			t.Run("pinned", func(t *testing.T) { b.For(t).contextPinned(t, repo) })
			t.Run("promote", func(t *testing.T) { b.For(t).contextPromote(t, repo) })
			t.Run("promote by policy", func(t *testing.T) { b.For(t).contextPromoteByPolicy(t, repo) })
			t.Run("states", func(t *testing.T) { b.For(t).contextStates() })
			t.Run("faults", func(t *testing.T) { b.For(t).contextFaults(t, repo) })
			t.Run("size", func(t *testing.T) { b.For(t).contextSize(t) })
			if n := kills(t, suite); n > 0 {
				t.Run("killed", func(t *testing.T) { b.For(t).contextKills(t, repo, n) })
			}
		})
	}
}

// madeContexts names the contexts that there are but for the default one, which is listed
// whether it was made or not.
const madeContexts = `hc list | awk 'NR > 1 && $1 != "default" { print $1 }'`

// hc runs a command in a context, and wants it to succeed.
func (b *Booted) hc(name, script string) string {
	b.t.Helper()
	return b.Must("hc", "enter", name, "--", "sh", "-ec", script)
}

// untouched is what a context must not change of the machine. The runtime directories of
// users stay mounted for some seconds after their last session.
func (b *Booted) untouched() string {
	b.t.Helper()
	return b.Must("sh", "-c", `systemctl show -P MainPID ssh.service cron.service; cat /proc/sys/kernel/sysrq; dpkg -l | sha256sum
		ls -lR /etc /boot /usr/bin /usr/sbin /var/lib/dpkg /var/lib/apt /run/systemd/system /lib/systemd 2>/dev/null | sha256sum; mount | grep -vc ' /run/user/'`)
}

func (b *Booted) contextTry() {
	// Who looks makes nothing.
	b.want(b.Must("sh", "-c", "hc list >/dev/null; hc __complete settle default '' >/dev/null 2>&1; ls "+contextsDir+" 2>/dev/null | wc -l"), "0")
	before := b.untouched()
	b.Must("hc", "new", "foo")
	b.hc("foo", `apt-get install -y tool >/dev/null; test "$(tool)" = "tool 1.0"; test "$(stat -c %U:%a /usr/bin/tool)" = root:4755
		test "$(stat -c %U /var/lib/tool)" = daemon; systemctl is-enabled -q tool.service; test "$(id -u)" = 0`)
	// What is setuid in there is within nobody's reach, and belongs to nobody who is anybody.
	if r := b.RunAs("alice", "sh", "-c", "hc list; ls /var/lib/ninefold/contexts"); r.OK() || !strings.Contains(r.Stderr, "Permission denied") || strings.Contains(r.Stdout, "foo") {
		b.t.Errorf("a user: %s", r)
	}
	b.hc("foo", "echo mine >>/etc/motd; rm /etc/issue.net; mkdir /srv/new; ls /var/lib/ninefold | wc -l | grep -qx 0")
	b.want(b.untouched(), before)
	out := b.Must("hc", "diff", "foo")
	b.want(out, `+ tool 1.0
+ toollib 1.0 (for another package)
- /etc/issue.net
~ /etc/motd
+ /etc/systemd/system/multi-user.target.wants/tool.service
+ /srv/new/
+ /var/lib/tool/
! systemctl --system daemon-reload (tool)
! deb-systemd-invoke start tool.service (tool)
! systemctl restart ssh.service (tool)
! sysctl -w kernel.sysrq=1 (tool)`)
	if out := b.Must("hc", "diff", "--all", "foo"); !strings.Contains(out, "+ /usr/bin/tool\n") || !strings.Contains(out, "~ /var/lib/dpkg/status\n") {
		b.t.Errorf("diff --all: %s", out)
	}
	b.want(b.Must("hc", "status", "foo"), "up to date")
	b.Must("hc", "rename", "foo", "bar")
	b.want(b.hc("bar", "tool"), "tool 1.0")
	if r := b.Run("hc", "enter", "foo", "--", "true"); r.Code != 3 {
		b.t.Errorf("the old name: %s", r)
	}
	b.Must("hc", "run", "bar", "--", "touch", "/srv/asked")
	if out := b.Must("hc", "show", "bar"); !strings.Contains(out, "touch /srv/asked (status 0, ") {
		b.t.Errorf("show: %s", out)
	}
	b.Must("hc", "delete", "bar")
	if out := b.Must("sh", "-c", madeContexts+"; ls -A /var/lib/ninefold/contexts"); out != ".lock" {
		b.t.Errorf("after the last one was deleted: %s", out)
	}
	b.want(b.untouched(), before)
}

// contextMany has several in one context, and deletes it under them.
func (b *Booted) contextMany() {
	b.Must("hc", "new", "many")
	b.Must("sh", "-c", "for i in 1 2 3; do hc enter many -- sh -c \"touch /run/in$i; exec sleep 1000\" >/dev/null 2>&1 & done")
	b.eventually("three to be in", func() string {
		return strings.TrimPrefix(strings.TrimSpace(b.Run("hc", "enter", "many", "--", "sh", "-c", "ls /run/in1 /run/in2 /run/in3 2>/dev/null | wc -l").Stdout), "3")
	})
	b.want(b.hc("many", "pgrep -c sleep; cat /proc/self/uid_map | awk '{print $1, $3}'; id -u"), "3\n0 65536\n0")
	if got := b.Must("sh", "-c", "ps -o uid= -p $(pgrep -o -f '^sleep 1000')"); len(strings.TrimSpace(got)) < 6 {
		b.t.Errorf("outside root of a context is uid %s", got)
	}
	for _, args := range [][]string{{"delete"}, {"snapshot"}, {"undo"}} {
		if r := b.Run("hc", args[0], "many"); r.Code != 6 || !strings.Contains(r.Stderr, "in use") {
			b.t.Errorf("%s while it is in use: %s", args[0], r)
		}
	}
	b.Must("hc", "delete", "--force", "many")
	b.eventually("everybody to be out", func() string { return b.Run("pgrep", "-f", "^sleep 1000").Stdout })
	if out := b.Must("hc", "list"); strings.Contains(out, "many") {
		b.t.Errorf("after it was deleted: %s", out)
	}
}

// contextStates keeps states, and goes back and forth between them.
func (b *Booted) contextStates() {
	b.Must("hc", "new", "st")
	b.hc("st", "echo one >/etc/motd; rm /etc/issue; ln /etc/motd /etc/linked")
	b.Must("hc", "snapshot", "st")
	b.hc("st", "echo two >/etc/motd; echo there >/etc/issue")
	const look = "cat /etc/motd; cat /etc/issue 2>/dev/null || echo no issue"
	b.Must("hc", "undo", "st")
	b.want(b.hc("st", look+"; stat -c %h /etc/linked"), "one\nno issue\n2")
	b.Must("hc", "redo", "st")
	b.want(b.hc("st", look), "two\nthere")
	b.Must("hc", "undo", "st")
	if r := b.Run("hc", "undo", "st"); r.Code != 3 {
		b.t.Errorf("undo without a state: %s", r)
	}
	b.want(b.hc("st", look), "one\nno issue")
	b.Must("hc", "delete", "st")
}
