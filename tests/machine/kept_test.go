package machine

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestWhatIsKept logs in to profiles that keep and throw away different things,
// and looks what is there the next time, and on the host.
func TestWhatIsKept(t *testing.T) {
	for _, suite := range suites() {
		t.Run(suite, func(t *testing.T) {
			t.Parallel()
			b := installed(t, suite, Options{})
			for name, more := range map[string]string{
				"dots": "home = \"dotfiles\"\n", "private": "home = \"private\"\n", "nohome": "home = \"none\"\n",
				"kept": "[keep]\nroot = \"user\"\n", "gone": "[keep]\npark = false\nsize = \"8M\"\n", "sticks": "[project]\nmedia = true\n",
			} {
				b.Write(profileDir+name+".toml", "version = 1\nbase = \"host\"\nnamespace = \"file /etc/ninefold-marker "+name+"\"\n"+more)
			}
			b.configure("[login]\ndefault = \"marked\"\n[login.users]\nbob = \"kept\"\ncarol = \"dots\"\n")
			t.Run("dotfiles", func(t *testing.T) { b.For(t).dotfiles(t) })
			t.Run("kept", func(t *testing.T) { b.For(t).keptRoot(t) })
			t.Run("parked", func(t *testing.T) { b.For(t).parkedAtLogout(t) })
			t.Run("mounts", func(t *testing.T) { b.For(t).privateMounts(t) })
			b.configure("[login]\ndefault = \"marked\"\n[login.users]\nalice = \"gone\"\nbob = \"private\"\ncarol = \"nohome\"\n")
			t.Run("thrown-away", func(t *testing.T) { b.For(t).thrownAway(t) })
			t.Run("attacked", func(t *testing.T) { b.For(t).attacked(t) })
			t.Run("guests", func(t *testing.T) { b.For(t).guests(t) })
			for _, user := range People {
				b.gone(user)
			}
			b.eventually("all views to end", func() string { return b.holders("") })
		})
	}
}

// inside runs a line of shell in a login of user by ssh, which has to be in the
// profile, and returns what it printed.
func (b *Booted) inside(user, profile, command string) string {
	b.t.Helper()
	r := b.SSH(user, `test "$(cat /etc/ninefold-marker)" = `+profile+` || { echo "not in `+profile+`"; exit 9; }; `+command)
	if !r.OK() {
		b.t.Errorf("%s", r)
	}
	return strings.TrimSpace(r.Stdout)
}

func (b *Booted) want(got, want string) {
	b.t.Helper()
	if got != want {
		b.t.Errorf("got %q, want %q", got, want)
	}
}

func (b *Booted) dotfiles(t *testing.T) {
	b.Must("sh", "-c", "install -d -o carol -g carol /home/carol/.config /home/carol/.config/ninefold; echo own > /home/carol/.config/ninefold/x; echo shared > /home/carol/.config/app; echo home > /home/carol/file")
	b.want(b.inside("carol", "dots", `cat ~/.config/app 2>/dev/null; cat ~/file ~/.config/ninefold/x; echo mine > ~/.config/app; echo s > ~/.local/share/s; touch ~/.local/state/t ~/.cache/c; systemctl --user is-active basic.target`), "home\nown\nactive")
	b.gone("carol")
	b.want(b.inside("carol", "dots", "cat ~/.config/app ~/.local/share/s; ls ~/.local/state/t ~/.cache/c | wc -l"), "mine\ns\n2")
	b.want(b.Must("sh", "-c", "cd /home/carol; cat .config/app; stat -c '%U %a' .local/ninefold/dots/config .local/share; cat .local/ninefold/dots/config/app; ls .local/share"), "shared\ncarol 700\ncarol 755\nmine")
	b.gone("carol")
	// A link of the user's: the host, and why.
	b.Must("sh", "-c", "cd /home/carol; mv .cache elsewhere; ln -s elsewhere .cache; chown -h carol .cache")
	if r := b.Run("su", "-l", "carol", "-c", "true"); !r.OK() || !strings.Contains(r.Stderr, "ninefold: ") || !strings.Contains(r.Stderr, ".cache") {
		t.Errorf("a link in the place of ~/.cache: %s", r)
	}
	b.gone("carol")
	b.Must("sh", "-c", "cd /home/carol; rm .cache; mv elsewhere .cache")
}

func (b *Booted) keptRoot(t *testing.T) {
	b.inside("bob", "kept", "echo one > /var/tmp/kept; sudo -n true 2>&1 | grep -q 'no new privileges'")
	// The same layer while the login lives: by run, and after the daemon was killed.
	was := b.daemon()
	b.Must("systemctl", "kill", "-s", "KILL", "sessiond.service")
	if r := b.Run("sessionctl", "run", "--user", "bob", "kept", "--", "true"); r.Code != 125 || !strings.Contains(r.Stderr, "in use by another session or login") {
		t.Errorf("run beside the login: %s", r)
	}
	b.another(was)
	b.want(b.inside("bob", "kept", "cat /var/tmp/kept; sessionctl status | grep ^root"), "one\nroot      what is written outside the home is kept")
	b.gone("bob")
	b.want(b.inside("bob", "kept", "cat /var/tmp/kept"), "one")
	b.gone("bob")
	r := b.Run("sessionctl", "run", "--user", "bob", "kept", "--", "cat", "/var/tmp/kept")
	b.want(r.Stdout, "one\n")
	if b.Run("test", "-e", "/var/tmp/kept").OK() {
		t.Error("it is on the host")
	}
	// The host's packages change underneath: the person is told, once.
	b.Must("touch", "/var/lib/dpkg/status")
	if r := b.Run("su", "-l", "bob", "-c", "cat /var/tmp/kept"); r.Stdout != "one\n" || !strings.Contains(r.Stderr, "the host's packages changed since profile kept was used last") {
		t.Errorf("after an upgrade: %s", r)
	}
	b.gone("bob")
	// What does not fit is set aside, and comes back.
	b.Must("touch", "/var/lib/dpkg/status")
	marker := filepath.Join("/proc", strconv.Itoa(b.leader), "root/var/lib/ninefold/kept/1001/kept/upper/etc/ninefold-marker")
	b.check(unix.Setxattr(marker, "trusted.overlay.metacopy", nil, 0))
	if r := b.Run("su", "-l", "bob", "-c", "cat /var/tmp/kept"); r.OK() || !strings.Contains(r.Stderr, "set aside as") {
		t.Errorf("after an upgrade that does not fit: %s", r)
	}
	out := b.inside("bob", "kept", "sessionctl session restore --overwrite && cat /var/tmp/kept; sessionctl session list | grep -c set-aside")
	if !strings.HasPrefix(out, "1 restored\n") || !strings.HasSuffix(out, "\none\n1") {
		t.Errorf("restored: %s", out)
	}
	b.gone("bob")
}

const reminder = "what is written outside the home (so far "

func (b *Booted) parkedAtLogout(t *testing.T) {
	term := b.login("alice")
	do := func(command, want string) {
		t.Helper()
		out, _, err := term.Do(command)
		b.check(err)
		if !strings.Contains(out, want) {
			t.Errorf("%s: want %q, got\n%s", command, want, out)
		}
	}
	do("sessionctl status", "0 files, 0 B outside the home will be discarded at logout")
	do("echo mine > /var/tmp/mine; sudo -n sh -c 'mkdir /opt/own; echo roots > /opt/own/roots; chmod 600 /opt/own/roots'; sessionctl status", "2 files, 11 B outside the home will be discarded at logout")
	do("sudo -n -i true", "ninefold: "+reminder+"2 files, 0.0 MiB) is discarded at logout")
	do("sudo -n su -l -c true", "ninefold: "+reminder)
	if r := b.Run("su", "-l", "root", "-c", "true"); strings.Contains(r.Stderr, "ninefold") {
		t.Errorf("on the host: %s", r)
	}
	do("sudo -n touch /var/lib/dpkg/status; sessionctl status | grep -c ^stale", "0\n") // its own
	b.check(term.Type("exit\n"))
	b.gone("alice")
	b.want(b.inside("alice", "marked", "cat /var/tmp/mine /opt/own/roots 2>/dev/null; sessionctl session restore; cat /var/tmp/mine; ls -A /opt"),
		"1 restored\n2 left: they are not yours; sudo sessionctl session restore brings them back\nmine")
	b.want(b.inside("alice", "marked", "echo newer > /var/tmp/mine; sudo -n sessionctl session restore | grep restored; cat /var/tmp/mine; sudo -n cat /opt/own/roots; stat -c %a /opt/own/roots"), "2 restored\nnewer\nroots\n600")
	if b.Run("test", "-e", "/opt/own").OK() || b.Run("test", "-e", "/var/tmp/mine").OK() {
		t.Error("it is on the host")
	}
	b.want(b.SSH("bob", "sessionctl session list | grep -c marked").Stdout, "0\n")
	b.gone("bob")
	// A daemon that is killed while it parks: the next one does it.
	b.inside("alice", "marked", "dd if=/dev/zero of=/var/tmp/big bs=1M count=150 status=none; sync")
	before := strings.Count(b.Must("sessionctl", "session", "list"), "alice")
	b.Run("loginctl", "terminate-user", "alice")
	b.Run("systemctl", "stop", "user@1000.service", "user-1000.slice")
	for range 6 {
		b.Run("systemctl", "kill", "-s", "KILL", "sessiond.service")
		time.Sleep(time.Second)
	}
	b.eventually("the view to end", func() string { return b.holders("1000") })
	b.eventually("what was written to be parked", func() string {
		out := b.Run("sessionctl", "session", "list").Stdout
		if strings.Count(out, "alice") == min(before+1, 3) && strings.Contains(out, "150.") {
			return ""
		}
		return out
	})
	b.want(b.Must("sh", "-c", "ls -d /var/lib/ninefold/parked/*/.new-* 2>/dev/null | wc -l"), "0")
	b.want(b.inside("alice", "marked", "sessionctl session restore | head -1; stat -c %s /var/tmp/big; for i in $(sessionctl session list | sed 1d | cut -d' ' -f1); do sessionctl session discard $i; done; sessionctl session list | wc -l"), "2 restored\n157286400\n0")
	b.gone("alice")
}

// privateMounts mounts a stick in a session, and one on the host.
func (b *Booted) privateMounts(t *testing.T) {
	// The unit's device policy knows what is there when the daemon starts.
	b.loops()
	b.Must("systemctl", "restart", "sessiond")
	b.Must("sh", "-c", "truncate -s 8M /home/alice/stick && mkfs.ext4 -q /home/alice/stick && mkdir -p /media/alice/early /media/alice/late /run/media/alice/late")
	b.Must("sh", "-c", "echo nameserver 192.0.2.0 > /etc/resolv.conf")
	host := b.hostMounts()
	term := b.login("alice")
	out, _, err := term.Do("sudo -n mkdir -p /n/stick; sudo -n mount -o loop /home/alice/stick /n/stick; sudo -n touch /n/stick/inside; ls /n/stick; stat -f -c %T /n/stick")
	b.check(err)
	if !strings.Contains(out, "inside") || !strings.Contains(out, "ext2/ext3") {
		t.Errorf("a mount inside: %s", out)
	}
	b.want(b.inside("alice", "marked", "ls /n/stick | grep inside"), "inside") // the same view
	if now := b.hostMounts(); now != host {
		t.Errorf("the host had:\n%s\nand has:\n%s", host, now)
	}
	// By the daemon: memory for the user, what is in a file for root.
	do := func(command, want string) {
		t.Helper()
		out, _, err := term.Do(command)
		b.check(err)
		if !strings.Contains(out, want) {
			t.Errorf("%s: want %q, got\n%s", command, want, out)
		}
	}
	do("sudo -n umount /n/stick; sessionctl mount --size 1M tmpfs /n/mem && touch /n/mem/x && stat -f -c %T /n/mem", "tmpfs")
	do("sessionctl mount --size 2G tmpfs /n/much; echo $?", "8\n")
	do("sessionctl mount ~/stick /n/disk; echo $?", "8\n")
	do("sudo -n sessionctl mount ~/stick /n/disk && ls /n/disk; grep -c ' /n/disk .*nosuid,nodev' /proc/self/mountinfo", "inside")
	do("sudo -n sessionctl unmount /n/disk; sessionctl unmount /n/mem; ls -A /n/mem /n/disk | grep -c .; grep -c ' /n/' /proc/self/mountinfo", "0\n")
	if now := b.hostMounts(); now != host {
		t.Errorf("the host had:\n%s\nand has:\n%s", host, now)
	}
	b.configure("[login]\ndefault = \"marked\"\n[login.users]\ncarol = \"sticks\"\n")
	b.Must("mount", "-t", "tmpfs", "none", "/media/alice/early")
	b.Must("touch", "/media/alice/early/x")
	other := b.login("carol")
	has := func(term *Terminal, want int) {
		t.Helper()
		out, _, err := term.Do("find /media /run/media -name x 2>/dev/null | wc -l")
		b.check(err)
		if strings.TrimSpace(out) != fmt.Sprint(want) {
			out, _, _ := term.Do("ls -lR /media /run/media; grep media /proc/self/mountinfo")
			t.Errorf("want %d of what the host has mounted: %s", want, out)
		}
	}
	has(other, 1)
	has(term, 0)
	for _, dir := range []string{"/media/alice/late", "/run/media/alice/late"} {
		b.Must("mount", "-t", "tmpfs", "none", dir)
		b.Must("touch", dir+"/x")
	}
	has(other, 3)
	has(term, 0)
	b.want(b.inside("bob", "marked", "find /media /run/media /n -name x -o -name inside 2>/dev/null | wc -l"), "0")
	for _, dir := range []string{"/media/alice/late", "/run/media/alice/late", "/media/alice/early"} {
		b.Must("umount", dir)
	}
	has(other, 0)
	// A laptop that roams: its resolver renames over the file.
	b.Must("sh", "-c", "echo nameserver 192.0.2.1 > /etc/resolv.conf.new; mv /etc/resolv.conf.new /etc/resolv.conf")
	do("cat /etc/resolv.conf", "192.0.2.1")
	b.Must("sh", "-c", "echo nameserver 192.0.2.2 > /etc/resolv.conf.new; mv /etc/resolv.conf.new /etc/resolv.conf")
	do("cat /etc/resolv.conf", "192.0.2.2")
	for _, x := range []*Terminal{term, other} {
		b.check(x.Type("exit\n"))
	}
	for _, user := range People {
		b.gone(user)
	}
	b.eventually("the loop device to be free", func() string { return b.Must("sh", "-c", "losetup -a | grep stick || true") })
}

// thrownAway leaves nothing, and parks nothing.
func (b *Booted) thrownAway(t *testing.T) {
	b.inside("alice", "gone", "echo x > /var/tmp/x; sessionctl status | grep -q '1 file, 2 B outside the home will be discarded at logout'")
	// Who fills what there is hurts nobody, and gets in again.
	b.want(b.inside("alice", "gone", "dd if=/dev/zero of=/var/tmp/much bs=1M count=64 2>&1 | grep -o 'No space left on device'"), "No space left on device")
	b.want(b.inside("alice", "gone", "test $(stat -c %s /var/tmp/much) -le 8388608 && systemctl --user is-active basic.target"), "active")
	b.want(b.inside("bob", "private", "ls -A ~ | wc -l; echo x > ~/x && echo x > /var/tmp/x && cat ~/x; pwd; stat -f -c %T ~; systemctl --user is-active basic.target"), "0\nx\n/home/bob\ntmpfs\nactive")
	b.want(b.inside("carol", "nohome", "touch ~/x 2>&1 | grep -c Read-only; ls -A ~ | wc -l; systemctl --user is-active basic.target"), "1\n0\nactive")
	for _, user := range People {
		b.gone(user)
	}
	b.want(b.Must("sh", "-c", "sessionctl session list | grep -c 'gone\\|private\\|nohome'; ls /home/*/x /var/tmp/x 2>/dev/null | wc -l; true"), "0\n0")
}

// loops gives the machine loop devices, which a container has not.
func (b *Booted) loops() {
	b.t.Helper()
	b.Must("sh", "-c", "test -e /dev/loop-control || mknod /dev/loop-control c 10 237; for i in $(seq 0 31); do test -e /dev/loop$i || mknod -m 660 /dev/loop$i b 7 $i; done")
}
