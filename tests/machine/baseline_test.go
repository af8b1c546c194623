package machine

import (
	"os"
	"strings"
	"testing"
)

// suites are those that can be tested here: inside of a machine, its own.
func suites() []string {
	if suite := os.Getenv(Inside); suite != "" {
		return []string{suite}
	}
	return Suites
}

// each boots a machine of every suite and runs f on it.
func each(t *testing.T, f func(t *testing.T, b *Booted)) {
	for _, suite := range suites() {
		t.Run(suite, func(t *testing.T) {
			t.Parallel()
			f(t, Boot(t, suite, Options{}))
		})
	}
}

// TestMachine shows, without Ninefold, that the machine is one that a login
// can be judged on: what fails here is the machine's fault.
func TestMachine(t *testing.T) {
	each(t, func(t *testing.T, b *Booted) {
		if r := b.Run("systemctl", "is-system-running"); strings.TrimSpace(r.Stdout) != "running" {
			t.Errorf("%s\n%s", r, b.Must("systemctl", "--failed"))
		}
		for _, w := range Ways {
			t.Run(w.Name, func(t *testing.T) {
				b := b.For(t)
				if p := b.probe(t, w, "bob"); p["user"] != "bob" || p["marker"] != "" || p["mnt"] != b.Must("readlink", "/proc/1/ns/mnt") {
					t.Errorf("not a login on the host: %v", p)
				}
				if r := b.Login(w, "bob", "sh -c 'exit 7'"); r.Code != 7 {
					t.Errorf("a command's exit status is lost: %s", r)
				}
			})
		}
		t.Run("power", func(t *testing.T) {
			b := b.For(t)
			if b.Virtual() {
				return
			}
			b.Write("/etc/kept", "kept\n")
			b.Write("/run/lost", "")
			b.Reboot()
			if got := b.Must("cat", "/etc/kept"); got != "kept" {
				t.Errorf("after a reboot: %q", got)
			}
			if b.Run("test", "-e", "/run/lost").OK() {
				t.Error("it was not switched off")
			}
		})
	})
}
