package packaging

import (
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// installed are files that something or somebody relies on, with their mode.
var installed = map[string]os.FileMode{
	"usr/lib/ninefold/sessionctl":                             0o755,
	"usr/lib/ninefold/ninefold-ctl":                           0o755,
	"usr/lib/ninefold/ninefold-build":                         0o755,
	"usr/lib/ninefold/ninefold-init":                          0o755,
	"usr/lib/ninefold/ninefold-probe":                         0o755,
	"usr/lib/ninefold/ninefold-enter":                         0o755,
	"usr/lib/ninefold/ninefold-guest":                         0o755,
	"usr/lib/ninefold/ninefold-session":                       0o755,
	"usr/lib/ninefold/ninefold-guest-account":                 0o755,
	"usr/share/lightdm/lightdm.conf.d/60-ninefold.conf":       0o644,
	"usr/lib/ninefold/sessiond":                               0o755,
	"usr/lib/x86_64-linux-gnu/security/pam_ninefold.so":       0o644,
	"usr/share/pam-configs/ninefold":                          0o644,
	"usr/share/pam-configs/ninefold-prepare":                  0o644,
	"usr/lib/systemd/system/sessiond.service":                 0o644,
	"usr/lib/systemd/system/sessiond-door.socket":             0o644,
	"usr/lib/systemd/system/sessiond-host.socket":             0o644,
	"usr/lib/systemd/system/ninefold-guests.service":          0o644,
	"usr/lib/systemd/system/ninefold-guests.timer":            0o644,
	"usr/lib/systemd/system/ninefold-guest-pool@.service":     0o644,
	"usr/lib/systemd/system/user@.service.d/10-ninefold.conf": 0o644,
	"usr/lib/tmpfiles.d/ninefold.conf":                        0o644,
	"usr/share/dbus-1/system.d/org.ninefold.conf":             0o644,
	"usr/share/dbus-1/system-services/org.ninefold.service":   0o644,
	"usr/share/polkit-1/actions/org.ninefold.policy":          0o644,
	"usr/share/bash-completion/completions/sessionctl":        0o644,
	"usr/share/bash-completion/completions/hc":                0o644,
	"usr/share/zsh/vendor-completions/_hc":                    0o644,
	"usr/share/fish/vendor_completions.d/hc.fish":             0o644,
	"usr/share/zsh/vendor-completions/_sessionctl":            0o644,
	"usr/share/fish/vendor_completions.d/sessionctl.fish":     0o644,
	"usr/share/man/man1/sessionctl.1.gz":                      0o644,
	"usr/share/man/man5/ninefold.toml.5.gz":                   0o644,
	"usr/share/man/man5/host.policy.5.gz":                     0o644,
	"usr/share/man/man5/ninefold-profile.5.gz":                0o644,
	"usr/share/man/man5/ninefold-recipe.5.gz":                 0o644,
	"usr/share/man/man5/ninefold-images.5.gz":                 0o644,
	"usr/share/man/man5/ninefold-namespace.5.gz":              0o644,
	"usr/share/man/man8/sessiond.8.gz":                        0o644,
	"usr/share/man/man8/pam_ninefold.8.gz":                    0o644,
	"usr/share/doc/ninefold/copyright":                        0o644,
	"usr/share/doc/ninefold/licences.gz":                      0o644,
	"usr/share/doc/ninefold/administration.md":                0o644,
	"usr/lib/ninefold/recipes/workstation.toml":               0o644,
	"usr/lib/ninefold/profiles/workstation.toml":              0o644,
	"etc/ninefold/ninefold.toml":                              0o644,
	"etc/ninefold/host.policy":                                0o644,
}

var enabled = []string{
	"etc/systemd/system/sockets.target.wants/sessiond-door.socket",
	"etc/systemd/system/sockets.target.wants/sessiond-host.socket",
	"etc/systemd/system/multi-user.target.wants/sessiond.service",
	"etc/systemd/system/timers.target.wants/ninefold-guests.timer",
}

// leftBehind are files of the package manager, which remembers what it did.
var leftBehind = []string{"/proc", "/run", "/var/lib/dpkg", "/var/log", "/var/cache", "/etc/ld.so.cache"}

func TestInstallAndRemove(t *testing.T) {
	need(t, "mmdebstrap")
	deb := theDeb(t)
	for _, suite := range suites {
		t.Run(suite, func(t *testing.T) {
			s := newScratch(t, suite)
			pam, all := s.state("/etc/pam.d"), s.state("/", leftBehind...)
			s.install(deb)

			for name, mode := range installed {
				st, err := os.Stat(s.path(name))
				if err != nil {
					t.Error(err)
				} else if st.Mode() != mode {
					t.Errorf("%s is %v, want %v", name, st.Mode(), mode)
				}
			}
			if out := s.must("dpkg", "--verify", "ninefold"); out != "" {
				t.Errorf("files are not as in the package:\n%s", out)
			}
			const enter = "/usr/lib/ninefold/ninefold-enter"
			if out := s.must("getcap", enter); out != enter+" cap_sys_chroot,cap_sys_admin=p" {
				t.Errorf("the wrapper's capabilities: %q", out)
			}
			for _, link := range enabled {
				if to, err := os.Readlink(s.path(link)); err != nil || !strings.HasSuffix(to, "/"+path.Base(link)) {
					t.Errorf("the unit is not enabled: %s -> %q, %v", link, to, err)
				}
			}
			stack(t, s)
			if out := s.must("sessionctl", "profile", "list"); !strings.Contains(out, "workstation") {
				t.Errorf("sessionctl does not list the profiles that came along:\n%s", out)
			}
			s.logins("installed, without a daemon")

			s.must("dpkg", "--remove", "ninefold")
			if d := changes(pam, s.state("/etc/pam.d")); len(d) > 0 {
				t.Errorf("after the removal /etc/pam.d is not as before:\n%s", strings.Join(d, "\n"))
			}
			s.logins("removed")
			s.must("dpkg", "--purge", "ninefold")
			if d := changes(all, s.state("/", leftBehind...)); len(d) > 0 {
				t.Errorf("the purge left:\n%s", strings.Join(d, "\n"))
			}
		})
	}
}

// stack looks at the order of the modules in the stack of interactive logins,
// and that no other stack has them.
func stack(t *testing.T, s *scratch) {
	t.Helper()
	var order []string
	for _, m := range regexp.MustCompile(`(?m)^session\s.*?(pam_[a-z]+)\.so *(prepare)?`).FindAllStringSubmatch(s.read("etc/pam.d/common-session"), -1) {
		order = append(order, strings.TrimSpace(m[1]+" "+m[2]))
	}
	prepare, systemd, enter := slices.Index(order, "pam_ninefold prepare"), slices.Index(order, "pam_systemd"), slices.Index(order, "pam_ninefold")
	if prepare < 0 || systemd < prepare || enter != len(order)-1 {
		t.Errorf("the session stack is %q: want prepare before pam_systemd, and the way in last", order)
	}
	files, err := os.ReadDir(s.path("etc/pam.d"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if f.Name() != "common-session" && strings.Contains(s.read("etc/pam.d/"+f.Name()), "pam_ninefold") {
			t.Errorf("%s has the module, too", f.Name())
		}
	}
}

func TestUnitsAreSound(t *testing.T) {
	need(t, "mmdebstrap")
	deb := theDeb(t)
	for _, suite := range suites {
		t.Run(suite, func(t *testing.T) {
			s := newScratch(t, suite)
			s.install(deb)
			out, err := s.run("systemd-analyze", "verify", "--man=no", "sessiond-door.socket", "sessiond-host.socket", "sessiond.service", "user@1000.service")
			for line := range strings.Lines(out) {
				if strings.Contains(line, "sessiond") || strings.Contains(line, "ninefold") {
					t.Errorf("systemd: %s", strings.TrimSpace(line))
				}
			}
			if err != nil {
				t.Errorf("systemd-analyze verify: %v\n%s", err, out)
			}
		})
	}
}
