package packaging

import (
	"strings"
	"testing"
	"time"

	"ninefold/tests/machine"
)

// TestDaemonThatCannotStart: logins go on on the host while it cannot, and it
// comes back by itself when it can again, door and all.
func TestDaemonThatCannotStart(t *testing.T) {
	need(t, "mmdebstrap", "systemd-nspawn")
	for _, suite := range suites {
		t.Run(suite, func(t *testing.T) {
			b := machine.Boot(t, suite, machine.Options{})
			if err := b.InstallDeb(t.Context(), theDeb(t)); err != nil {
				t.Fatal(err)
			}
			b.Write("/etc/ninefold/profiles/copy.toml", "version = 1\nname = \"copy\"\nbase = \"host\"\n")
			b.Write("/etc/ninefold/ninefold.toml", "[login.users]\nalice = \"copy\"\n")
			const program = "/usr/lib/ninefold/sessiond"
			b.Must("mv", program, program+".good")
			b.Must("cp", "/bin/false", program)
			b.Run("systemctl", "restart", "sessiond.service") // fails, as it should

			for i := range 5 {
				r := b.Run("su", "-l", "bob", "-c", "id -un")
				if !r.OK() || strings.TrimSpace(r.Stdout) != "bob" {
					t.Fatalf("login %d without a daemon: %s", i, r)
				}
				b.Run("rm", "-f", "/run/ninefold/door.failed") // as if each were the first
			}
			b.Must("systemctl", "is-active", "sessiond-door.socket")

			b.Must("mv", program+".good", program)
			active := func() bool { return b.Run("systemctl", "is-active", "sessiond.service").OK() }
			for deadline := time.Now().Add(time.Minute); !active(); time.Sleep(200 * time.Millisecond) {
				if time.Now().After(deadline) {
					t.Fatalf("it does not come back:\n%s", b.Run("systemctl", "status", "--no-pager", "sessiond.service", "sessiond-door.socket").Stdout)
				}
			}
			host := b.Must("readlink", "/proc/1/ns/mnt")
			if r := b.Run("su", "-l", "alice", "-c", whichRoot); !r.OK() || strings.TrimSpace(r.Stdout) == host {
				t.Errorf("the daemon is back, and alice is on the host: %s", r)
			}

			b.Reboot()
			b.Must("systemctl", "is-active", "sessiond.service") // before the first login asks
			if out := b.Must("journalctl", "--boot", "--no-pager"); strings.Contains(out, "ordering cycle") {
				t.Errorf("the units wait for each other at boot:\n%s", out)
			}
			if r := b.Run("su", "-l", "alice", "-c", whichRoot); !r.OK() || strings.TrimSpace(r.Stdout) == b.Must("readlink", "/proc/1/ns/mnt") {
				t.Errorf("after a boot alice is on the host: %s", r)
			}
		})
	}
}
