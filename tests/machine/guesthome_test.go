package machine

import (
	"strings"
	"testing"
)

// keepsHome is a profile whose guests have one home, each after the other.
const keepsHome = `version = 1
home = "kept"

[isolation]
user = "dynamic"

[keep]
size = "32M"
`

// guestHome has guests log in who find what the one before left.
func (b *Booted) guestHome(t *testing.T) {
	b.loops()
	b.Write("/etc/ninefold/profiles/lab.toml", keepsHome)
	b.configure("[guests]\nprofile = \"lab\"\n")
	term, first := b.guestIn(t)
	defer term.Close()
	out, _, err := term.Do("ls -A ~; echo one >~/file && cp /usr/bin/id ~/own && chmod 6755 ~/own && stat -c %U ~ ~/file; mknod ~/zero c 1 5 2>&1 | grep -c .")
	b.check(err)
	b.want(strings.TrimSpace(out), first+"\n"+first+"\n1")
	b.want(b.Must("sh", "-c", "sessionctl guest homes | awk '{ print $1, $2, $NF }'"), "PROFILE SIZE STATE\nlab 32.0 use")
	if r := b.Run("sessionctl", "guest", "forget", "lab"); r.Code != 6 {
		t.Errorf("the home of a guest who is in was forgotten: %s", r)
	}
	b.guestTold("another guest has the home")
	// What users begin has none of it.
	if r := b.RunAs("bob", "sessionctl", "run", "lab", "--", "cat", "/home/guest/file"); r.OK() || strings.Contains(r.Stdout, "one") {
		t.Errorf("bob reads the home that is kept: %s", r)
	}
	if r := b.Run("sessionctl", "run", "guest", "--", "sh", "-c", "find / -xdev -name disk -path '*homes*' 2>/dev/null; ls -A /home /var/lib/ninefold ~; head -c 1 /dev/loop0"); r.OK() || strings.Contains(r.Stdout, "file") || strings.Contains(r.Stdout, "lab") {
		t.Errorf("another guest sees the home: %s", r)
	}
	b.check(term.Type("exit\n"))
	if _, err := term.Wait(patience); err != nil {
		t.Errorf("%v; shown:\n%s", err, term.Shown())
	}

	term, second := b.guestIn(t)
	defer term.Close()
	out, _, err = term.Do("cat ~/file; stat -c %U ~/file; ~/own -un; echo two >>~/file; sync")
	b.check(err)
	if second == first || strings.TrimSpace(out) != "one\n"+second+"\n"+second {
		t.Errorf("after %s came %s, who sees\n%s", first, second, out)
	}
	if r := b.Must("sessionctl", "guest", "report", second); !strings.Contains(r, "\nkept      /home/guest, on device 7:") {
		t.Errorf("the report does not say that the home is kept:\n%s", r)
	}
	b.Must("systemctl", "kill", "--signal=SIGKILL", "ninefold-"+second+".service")
	if _, err := term.Wait(patience); err != nil {
		t.Errorf("%v; shown:\n%s", err, term.Shown())
	}

	b.eventually("the home to be free", func() string {
		if r := b.Run("sessionctl", "run", "lab", "--", "cat", "/home/guest/file"); !r.OK() || r.Stdout != "one\ntwo" && r.Stdout != "one\ntwo\n" {
			return r.String()
		}
		return ""
	})
	b.noGuestLeft(t)
	owners := b.Must("unshare", "-m", "sh", "-ec", "mount -o loop,ro,nosuid,nodev /var/lib/ninefold/guests/homes/lab/disk /mnt; find /mnt -printf '%U:%G %y\\n' | sort -u")
	b.want(owners, "65534:65534 d\n65534:65534 f")
	b.Must("sessionctl", "guest", "forget", "lab")
	b.want(b.Must("sh", "-c", "sessionctl guest homes; ls -A /var/lib/ninefold/guests/homes; losetup -a | grep homes || true"), "")
	b.Must("rm", "/etc/ninefold/profiles/lab.toml")
	b.configure("[login]\ndefault = \"marked\"\n")
}

// guestTold wants a guest who logs in at the console to be told something, and to be
// out again.
func (b *Booted) guestTold(told string) {
	b.t.Helper()
	term, err := b.Getty(b.ctx)
	b.check(err)
	defer term.Close()
	b.check(term.Type("guest\n"))
	if _, err := term.Wait(patience); err != nil || !strings.Contains(term.Shown(), told) {
		b.t.Errorf("%v; %q was to be shown, and was:\n%s", err, told, term.Shown())
	}
}
