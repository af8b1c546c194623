package packaging

import (
	"strings"
	"testing"

	"ninefold/tests/machine"
)

// TestLiveMachine installs, configures, upgrades and removes on a machine that
// runs, with somebody logged in all the time.
func TestLiveMachine(t *testing.T) {
	need(t, "mmdebstrap", "systemd-nspawn")
	older, newer := theDeb(t), newerDeb(t)
	for _, suite := range suites {
		t.Run(suite, func(t *testing.T) { live(t, machine.Boot(t, suite, machine.Options{}), older, newer) })
	}
}

const whichRoot = "readlink /proc/self/ns/mnt"

func live(t *testing.T, b *machine.Booted, older, newer string) {
	host := b.Must("readlink", "/proc/1/ns/mnt")
	install := func(deb string) {
		t.Helper()
		if err := b.InstallDeb(t.Context(), deb); err != nil {
			t.Fatal(err)
		}
	}
	// quiet wants a login on the host about which nothing is said.
	quiet := func(when, user string) {
		t.Helper()
		r := b.Run("su", "-l", user, "-c", whichRoot)
		if !r.OK() || strings.TrimSpace(r.Stdout) != host || r.Stderr != "" {
			t.Errorf("%s, the login of %s is not as ever: %s", when, user, r)
		}
		if failed := b.Must("systemctl", "--failed", "--plain", "--no-legend"); failed != "" {
			t.Errorf("%s, units have failed:\n%s", when, failed)
		}
	}

	install(older)
	active := func() {
		t.Helper()
		b.Must("systemctl", "is-active", "sessiond.service")
		b.Must("systemctl", "is-active", "sessiond-door.socket")
	}
	active()
	// Not alice: her user manager would stay on the host for a while.
	quiet("installed and not configured", "carol")

	b.Write("/etc/ninefold/profiles/copy.toml", "version = 1\nname = \"copy\"\nbase = \"host\"\n")
	b.Write("/etc/ninefold/ninefold.toml", "[login.users]\nalice = \"copy\"\n")
	b.Must("systemctl", "restart", "sessiond.service")
	term, err := b.LogIn(t.Context(), "alice", "login", "alice")
	if err != nil {
		t.Fatal(err)
	}
	defer term.Close()
	inside := func(when string) string {
		t.Helper()
		out, code, err := term.Do(whichRoot)
		if err != nil || code != 0 {
			t.Fatalf("%s, the live session does not answer: %q, %d, %v", when, out, code, err)
		}
		return strings.TrimSpace(out)
	}
	view := inside("logged in")
	if view == host {
		t.Fatalf("alice is on the host:\n%s\n%s", term.Shown(), b.Journal("sessiond.service"))
	}
	quiet("with a view alive", "bob")

	pid := b.Must("systemctl", "show", "--property=MainPID", "sessiond.service")
	install(newer)
	if now := b.Must("systemctl", "show", "--property=MainPID", "sessiond.service"); now == pid {
		t.Error("the upgrade did not restart the daemon")
	}
	active()
	if now := inside("upgraded"); now != view {
		t.Errorf("the upgrade moved the session from %s to %s", view, now)
	}
	if r := b.Run("su", "-l", "alice", "-c", whichRoot); strings.TrimSpace(r.Stdout) != view {
		t.Errorf("after the upgrade another login is not in the view %s that lives: %s", view, r)
	}

	b.Must("dpkg", "--purge", "ninefold")
	if now := inside("purged"); now != view {
		t.Errorf("the removal moved the session from %s to %s", view, now)
	}
	quiet("purged", "bob")
	quiet("purged", "carol")
	if out := b.Must("systemctl", "show", "--property=ExecStart", "user@1001.service"); strings.Contains(out, "ninefold") {
		t.Errorf("the user manager is still started through the wrapper: %s", out)
	}
	if r := b.Run("sh", "-c", "ls -d /run/ninefold /usr/lib/ninefold /etc/ninefold/ninefold.toml /run/systemd/system/user@.service.d 2>/dev/null"); r.Stdout != "" {
		t.Errorf("the purge left:\n%s", r.Stdout)
	}
	if units := b.Must("systemctl", "list-units", "--all", "--plain", "--no-legend", "ninefold-*", "sessiond*"); units != "" {
		t.Errorf("the purge left units:\n%s", units)
	}
}
