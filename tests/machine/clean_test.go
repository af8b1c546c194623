package machine

import (
	"strings"
	"testing"
)

// residue is what Ninefold must not leave on a machine where nobody is logged in.
const residue = `systemctl list-units --plain --no-legend --all 'ninefold-view-*' | sed 's/^/unit: /'
ls /run/ninefold/state/views 2>/dev/null | sed 's/^/record: /'
find /sys/fs/cgroup -name 'ninefold-view-*' | sed 's/^/cgroup: /'
for p in $(pgrep -x 'ninefold-(init|enter)'); do echo "process: $p $(tr '\0' ' ' </proc/$p/cmdline)"; done
systemctl --failed --plain --no-legend | grep -v '^session-' | sed 's/^/failed: /'
true`

// clean wants a machine on which nothing is left of views, and with which
// `sessionctl doctor` has nothing to find. mounts is what hostMounts said when
// nothing had happened yet.
func (b *Booted) clean(t *testing.T, mounts string) {
	t.Helper()
	b.eventually("everything of views to be gone", func() string { return b.Must("sh", "-c", residue) })
	if now := b.hostMounts(); now != mounts {
		t.Errorf("visible on the host are now:\n%s\nand were before:\n%s", now, mounts)
	}
	r := b.Run("sessionctl", "doctor")
	if !r.OK() || b.complaints(r) != "" {
		t.Errorf("doctor finds: %s\n%s", b.complaints(r), r)
	}
}

// complaints are doctor's findings on logins that are not good ones.
func (b *Booted) complaints(r Result) string {
	var out []string
	for line := range strings.Lines(r.Stdout) {
		if f := strings.Fields(line); len(f) > 2 && f[1] == "login" && f[0] != "ok" {
			out = append(out, strings.TrimSpace(line))
		}
	}
	return strings.Join(out, "\n")
}
