package machine

import (
	"os"
	"strconv"
	"strings"
	"testing"
)

// pinSum is what a pinned context stands on: every name of the machine's system, and
// the content of what is not large.
func (b *Booted) pinSum(id, pin string) string {
	b.t.Helper()
	return b.Must("sh", "-c", "cd "+contextsDir+"/"+id+"/layers/"+pin+`/upper && { find etc usr -type d -printf '%p %M %U %G\n' -o -printf '%p %M %U %G %s %l\n' | sort
		tar --mtime=@0 --numeric-owner --sort=name -c etc usr/sbin usr/share/mover; } | sha256sum`)
}

// fromKilled kills what makes contexts of other contexts, of images and with disks of
// their own.
func (b *Booted) fromKilled(t *testing.T, n int, start, look string) {
	t.Helper()
	b.killedAt(t, n, start, killed{args: []string{"new", "--from", "k", "another"}, look: look, another: look, again: []int{1}})
	b.loops()
	b.killedAt(t, n, start, killed{args: []string{"new", "--size", "32M", "another"}, look: look, again: []int{1}})
	if os.Getenv(killsEnv) == "" {
		return
	}
	b.restore(start)
	b.Must("hc", "commit", "k", "--as", "kimg")
	b.killedAt(t, n, start, killed{args: []string{"new", "--from", "kimg", "another"}, look: look, another: look, again: []int{1}})
	b.Must("sh", "-c", "rm -f /etc/ninefold/recipes/kimg.*; sessionctl image remove kimg")
}

// lookPinned says more of what a context holds that is cut loose, or is not.
const lookPinned = "; cat /home/made/file /usr/share/mover/version"

// inMemory runs f with the contexts on a tmpfs: each time somebody leaves one the kernel
// brings what its file system holds to disk, and that is a whole machine here.
func (b *Booted) inMemory(f func()) {
	b.t.Helper()
	b.Must("mount", "-t", "tmpfs", "-o", "mode=700", "tmpfs", contextsDir)
	f()
	b.eventually("nothing to be live", func() string { return b.Run("umount", contextsDir).Stderr })
}

// pinKilled kills what cuts contexts loose. It returns what one is when it is.
func (b *Booted) pinKilled(t *testing.T, n int, start, look string) (pinned string) {
	t.Helper()
	// What a machine of tests does not use is not copied again and again.
	b.Must("sh", "-c", "rm -rf /usr/lib/modules /usr/share/doc /usr/share/locale /usr/share/man /usr/share/zoneinfo /usr/lib/*/gconv /boot/*")
	b.inMemory(func() {
		b.killedAt(t, n, start, killed{args: []string{"new", "--pinned", "another"}, look: look, another: "cat /etc/motd /usr/share/mover/version", again: []int{1}})
		b.killedAt(t, n, start, killed{args: []string{"pin", "k"}, look: look + lookPinned, again: []int{1}})
		b.restore(start)
		b.Must("hc", "pin", "k")
		pinned = b.keep("pinned")
		b.killedAt(t, n, pinned, killed{args: []string{"new", "--from", "k", "another"}, look: look + lookPinned, another: look + lookPinned, again: []int{1}})
	})
	return pinned
}

// followKilled kills what brings a pinned context back to the machine, which has
// moved.
func (b *Booted) followKilled(t *testing.T, n int, pinned, look string) {
	t.Helper()
	b.inMemory(func() {
		b.killedAt(t, n, pinned, killed{args: []string{"follow", "k"}, look: look + lookPinned, again: []int{1}})
		b.restore(pinned)
		b.Must("hc", "follow", "k")
		b.killedAt(t, n, b.keep("followed"), killed{args: []string{"undo", "k"}, look: look + lookPinned, again: []int{3}})
	})
}

// promoteKilled kills promote at its steps. The context stays as it is; the machine
// has the packages or not, never half, and promote can be done again.
func (b *Booted) promoteKilled(t *testing.T, n int, kept, look string) {
	promote := []string{"promote", "--yes", "p"}
	at := func(step int) Result {
		return b.Run(append([]string{"killat", strconv.Itoa(step), "/run/steps", "hc"}, promote...)...)
	}
	// apt goes on when the one who asked it is gone.
	machine := func() string {
		b.t.Helper()
		b.eventually("apt to end", func() string { return b.Run("sh", "-c", "pgrep -x apt-get; pgrep -x dpkg").Stdout })
		return b.Must("sh", "-c", `dpkg --audit; dpkg-query -W -f '${Package} ${db:Status-Abbrev} ${Version}\n' toollib 2>/dev/null; cat /usr/share/toollib/version 2>/dev/null; true`)
	}
	none := func() { b.t.Helper(); b.Must("apt-get", "purge", "-qq", "-y", "toollib") }
	b.restore(kept)
	b.Must("hc", "new", "p")
	b.hc("p", "apt-get install -qq -y toollib")
	without, before := machine(), b.contextState(look, "")
	if r := at(0); !r.OK() {
		t.Fatal(r)
	}
	steps, err := strconv.Atoi(b.Must("cat", "/run/steps"))
	b.check(err)
	with := machine()
	if !strings.Contains(with, "ii ") {
		t.Fatalf("after promote the machine has %q", with)
	}
	olds, news := 0, 0
	for _, step := range stepsOf(n, steps) {
		none()
		if r := at(step); r.Code == 125 {
			t.Fatal(r)
		}
		switch got := machine(); got {
		case without:
			olds++
		case with:
			news++
		default:
			t.Errorf("promote, killed at step %d of %d, left the machine with\n%s", step, steps, got)
		}
		if got := b.contextState(look, ""); got != before {
			t.Errorf("promote, killed at step %d of %d, has changed the context:\n%s\nwant\n%s", step, steps, got, before)
		}
		b.Must(append([]string{"hc"}, promote...)...)
		if got := machine(); got != with {
			t.Errorf("promote, killed at step %d of %d and done again, left the machine with\n%s", step, steps, got)
		}
	}
	none()
	t.Logf("promote: %d steps, killed %d times: %d old, %d new", steps, n, olds, news)
}
