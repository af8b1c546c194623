package packaging

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestUpgradeKeepsWhatTheAdministratorDid edits the configuration, disables the
// daemon, and takes the module out of the stack; a newer version leaves it so.
func TestUpgradeKeepsWhatTheAdministratorDid(t *testing.T) {
	need(t, "mmdebstrap")
	older, newer := theDeb(t), newerDeb(t)
	for _, suite := range suites {
		t.Run(suite, func(t *testing.T) {
			s := newScratch(t, suite)
			s.install(older)
			const config = "etc/ninefold/ninefold.toml"
			edited := s.read(config) + "\n[login]\nchoose = [\"host\"]\n"
			if err := os.WriteFile(s.path(config), []byte(edited), 0o644); err != nil {
				t.Fatal(err)
			}
			const mine = "etc/ninefold/profiles/mine.toml"
			if err := os.WriteFile(s.path(mine), []byte("version = 1\nname = \"mine\"\n"), 0o644); err != nil {
				t.Fatal(err)
			}
			ours, aside, theirs := "usr/local/share/wayland-sessions/ninefold-mine.desktop", "usr/share/xsessions/.ninefold-mine.desktop.new", "usr/share/xsessions/ninefold-theirs.desktop"
			for name, text := range map[string]string{ours: "[Desktop Entry]\nX-Ninefold-Profile=mine\n", aside: "[Desk", theirs: "[Desktop Entry]\n"} {
				if err := os.MkdirAll(filepath.Dir(s.path(name)), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(s.path(name), []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			s.must("systemctl", "disable", "sessiond-door.socket", "sessiond-host.socket", "sessiond.service", "ninefold-guests.timer")
			s.must("pam-auth-update", "--disable", "ninefold", "ninefold-prepare")
			stack := s.state("/etc/pam.d")

			s.install(newer)
			if v := s.must("dpkg-query", "-W", "-f", "${Version} ${db:Status-Abbrev}", "ninefold"); strings.TrimSpace(v) != "0.0.2 ii" {
				t.Errorf("after the upgrade the package is %q", v)
			}
			// The new daemon looks after what the old one offered to greeters.
			if _, err := os.Stat(s.path(ours)); err != nil {
				t.Errorf("the upgrade took a session entry away: %v", err)
			}
			if s.read(config) != edited {
				t.Error("the upgrade changed the administrator's configuration")
			}
			for _, link := range enabled {
				if _, err := os.Lstat(s.path(link)); err == nil {
					t.Errorf("the upgrade enabled %s again", link)
				}
			}
			if d := changes(stack, s.state("/etc/pam.d")); len(d) > 0 {
				t.Errorf("the upgrade put the module back:\n%s", strings.Join(d, "\n"))
			}
			if out := s.must("getcap", "/usr/lib/ninefold/ninefold-enter"); !strings.Contains(out, "cap_sys_admin") {
				t.Errorf("after the upgrade the wrapper has no capabilities: %q", out)
			}
			s.logins("upgraded")

			s.must("dpkg", "--purge", "ninefold")
			if _, err := os.Stat(s.path(mine)); err != nil {
				t.Errorf("the purge took the administrator's profile: %v", err)
			}
			for _, name := range []string{ours, aside, filepath.Dir(ours)} {
				if _, err := os.Lstat(s.path(name)); err == nil {
					t.Errorf("the purge left %s", name)
				}
			}
			if _, err := os.Stat(s.path(theirs)); err != nil {
				t.Errorf("the purge took a session entry of somebody else's: %v", err)
			}
			s.logins("purged")
		})
	}
}

// TestRemovalThatIsCalledOff: dpkg starts a removal and gives up, as it does
// when another package needs this one.
func TestRemovalThatIsCalledOff(t *testing.T) {
	need(t, "mmdebstrap")
	s := newScratch(t, suites[0])
	s.install(theDeb(t))
	before := s.state("/etc")
	s.must("/var/lib/dpkg/info/ninefold.prerm", "remove")
	if strings.Contains(s.read("etc/pam.d/common-session"), "pam_ninefold") {
		t.Error("prerm left the module in the stack")
	}
	s.logins("about to be removed")
	s.must("/var/lib/dpkg/info/ninefold.postinst", "abort-remove")
	if d := changes(before, s.state("/etc")); len(d) > 0 {
		t.Errorf("after a removal that was called off:\n%s", strings.Join(d, "\n"))
	}
}
