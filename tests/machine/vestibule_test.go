package machine

import (
	"slices"
	"strings"
	"testing"
)

// loginPrograms run as the person and stay on the host: the other half of sshd.
var loginPrograms = []string{"sshd", "sshd-session", "(sd-pam)"}

// TestUntrustedLogins logs in by every way to a profile that its user can
// change: the login is whole, and everything that is started is in the view
// without privileges.
func TestUntrustedLogins(t *testing.T) {
	for _, suite := range suites() {
		t.Run(suite, func(t *testing.T) {
			t.Parallel()
			b := installed(t, suite, Options{})
			b.Write(profileDir+"loose.toml", "version = 1\nbase = \"host\"\n")
			b.Must("chown", "bob", profileDir+"loose.toml")
			b.configure("[login]\nown = true\n[login.users]\nbob = \"loose\"\n")
			host := b.hostNS()
			for _, w := range Ways {
				t.Run(w.Name, func(t *testing.T) {
					b := b.For(t)
					p := b.probe(t, w, "bob")
					if p["profile"] != "loose" || p["mnt"] == host || p["cwd"] != "/home/bob" {
						t.Errorf("not in the view: %v", p)
					}
					for _, q := range b.processes("bob") {
						if q.ns != p["mnt"] && !slices.Contains(loginPrograms, q.name) {
							t.Errorf("%s (%s) is in %s, and not in %s", q.name, q.pid, q.ns, p["mnt"])
						}
					}
					const powers = "grep -E '^(CapBnd|NoNewPrivs):' /proc/self/status; sudo -n true 2>&1 || echo no way up"
					r := b.Login(w, "bob", powers)
					for _, want := range []string{"CapBnd:\t0000000000000000", "NoNewPrivs:\t1", "no way up"} {
						if !strings.Contains(r.Stdout, want) {
							t.Errorf("lacks %q: %s", want, r)
						}
					}
					if r := b.Login(w, "bob", "sh -c 'exit 7'"); r.Code != 7 {
						t.Errorf("a command's exit status is lost: %s", r)
					}
					b.gone("bob")
				})
			}
			t.Run("sftp", func(t *testing.T) {
				b := b.For(t)
				b.Write("/run/batch", "get /etc/hostname /run/by-sftp\nput /etc/hostname /home/bob/by-sftp\n")
				if r := b.Run("sftp", "-b", "/run/batch", "bob@localhost"); !r.OK() {
					t.Errorf("%s", r)
				}
				b.gone("bob")
			})
			t.Run("afterwards", func(t *testing.T) {
				b := b.For(t)
				if failed := b.Must("systemctl", "--failed", "--plain", "--no-legend"); failed != "" {
					t.Errorf("units failed: %s", failed)
				}
				b.eventually("all views to end", func() string { return b.holders("") })
			})
		})
	}
}
