package machine

import (
	"context"
	"fmt"
	"strings"
	"testing"
)

const second = `version = 1
base = "host"
namespace = """
file /etc/ninefold-marker second
"""
`

// choosing lets the tests choose a profile for the next logins by pam_env, as
// an administrator could, and gives them profiles to choose from: "loose" is
// one that its user could change.
func (b *Booted) choosing() {
	b.t.Helper()
	for _, service := range []string{"sshd", "su"} {
		b.Must("sed", "-i", `s|^@include common-session$|session required pam_env.so envfile=/run/choice\n&|`, "/etc/pam.d/"+service)
	}
	b.choose("")
	b.Write(profileDir+"second.toml", second)
	b.Write(profileDir+"loose.toml", "version = 1\nbase = \"host\"\n")
	b.Must("chown", "bob", profileDir+"loose.toml")
	b.configure("[login]\ndefault = \"marked\"\nchoose = [\"second\", \"loose\", \"none\"]\n")
}

func (b *Booted) choose(profile string) {
	b.t.Helper()
	if profile != "" {
		profile = "NINEFOLD_PROFILE=" + profile + "\n"
	}
	b.Write("/run/choice", profile)
}

// stay logs a user in by ssh on a terminal, until the test ends.
func (b *Booted) stay(user string) *Terminal {
	b.t.Helper()
	term, err := b.LogIn(b.ctx, user, "ssh", "-tt", user+"@localhost")
	b.check(err)
	b.t.Cleanup(term.Close)
	return term
}

// ask runs a line of shell in a login that stays, and returns what it prints.
func (b *Booted) ask(term *Terminal, line string) string {
	b.t.Helper()
	out, code, err := term.Do(line)
	b.check(err)
	if code != 0 {
		b.t.Errorf("%s: exit status %d: %s", line, code, out)
	}
	return strings.TrimSpace(out)
}

// managed is stay, and waits until the user manager is ready: on a busy machine
// a second one can take longer than a login waits.
func (b *Booted) managed(user string) *Terminal {
	b.t.Helper()
	term := b.stay(user)
	b.eventually("the user manager", func() string {
		out, code, err := term.Do("systemctl --user is-active basic.target 2>&1")
		b.check(err)
		if code != 0 {
			return out
		}
		return ""
	})
	return term
}

const busID = "busctl --user call org.freedesktop.DBus / org.freedesktop.DBus GetId"

// TestTwoRuntimes has one person logged in with several profiles at a time.
func TestTwoRuntimes(t *testing.T) {
	for _, suite := range suites() {
		t.Run(suite, func(t *testing.T) {
			t.Parallel()
			b := installed(t, suite, Options{})
			b.choosing()
			t.Run("at-a-time", func(t *testing.T) { b.For(t).twoRuntimes(t) })
			t.Run("view-of-a-unit", func(t *testing.T) { b.For(t).viewOfUnit(t) })
			t.Run("host-chosen", func(t *testing.T) { b.For(t).hostChosen(t) })
			t.Run("linger-before", func(t *testing.T) { b.For(t).lingerBefore(t) })
			t.Run("fallback-and-recovery", func(t *testing.T) { b.For(t).recovered(t) })
			t.Run("changed-while-the-manager-lingers", func(t *testing.T) { b.For(t).changed(t) })
			t.Run("afterwards", func(t *testing.T) {
				b := b.For(t)
				b.eventually("all views to end", func() string { return b.holders("") })
				if failed := b.Must("systemctl", "--failed", "--plain", "--no-legend"); failed != "" {
					t.Errorf("units failed: %s", failed)
				}
			})
		})
	}
}

// leave logs out.
func (b *Booted) leave(term *Terminal) {
	b.t.Helper()
	b.check(term.Type("exit\n"))
	_, err := term.Wait(patience)
	b.check(err)
}

func (b *Booted) managers() string {
	b.t.Helper()
	return b.Must("systemctl", "list-units", "--plain", "--no-legend", "--all", "ninefold-manager-*")
}

func (b *Booted) twoRuntimes(t *testing.T) {
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(b.Machine.Run(context.Background(), "journalctl", "--no-pager", "-b", "--grep=ninefold|sessiond").Stdout)
		}
	})
	first := b.stay("bob")
	ns, bus := b.ask(first, "readlink /proc/self/ns/mnt"), b.ask(first, busID)
	b.ask(first, "systemd-run --user --quiet --unit=of-the-first sleep 1000")
	b.ask(first, "touch $XDG_RUNTIME_DIR/of-the-first")
	seen := map[string]string{ns: "marked"}
	for _, profile := range []string{"second", "loose"} {
		b.choose(profile)
		in := b.managed("bob")
		// Whole means: systemctl --user, systemd-run --user and --scope, and the bus, all in this view.
		p := b.probe(t, Ways[0], "bob")
		if p["mnt"] != b.ask(in, "readlink /proc/self/ns/mnt") || p["profile"] != profile || profile == "second" && p["marker"] != "second" || p["runtime"] != "/run/user/"+b.Must("id", "-u", "bob") {
			t.Errorf("not in profile %s: %v", profile, p)
		}
		if other := seen[p["mnt"]]; other != "" {
			t.Errorf("%s and %s are one view", profile, other)
		}
		seen[p["mnt"]] = profile
		if r := b.SSH("bob", "systemctl --user is-active of-the-first; ls $XDG_RUNTIME_DIR; "+busID); strings.HasPrefix(r.Stdout, "active") ||
			strings.Contains(r.Stdout, "of-the-first") || strings.Contains(r.Stdout, bus) {
			t.Errorf("profile %s shares a manager with the first: %s", profile, r)
		}
		b.leave(in)
	}
	b.choose("second")
	other := b.managed("bob")
	now := b.ask(other, "readlink /proc/self/ns/mnt")
	if seen[now] != "second" {
		t.Errorf("a later login in second is in a view of its own")
	}
	// Neither a new daemon nor a killed one takes it away.
	b.Must("systemctl", "restart", "sessiond.service")
	if p := b.probe(t, Ways[2], "bob"); p["mnt"] != now {
		t.Errorf("after a new daemon: %v", p)
	}
	if got := b.ask(other, "systemctl --user is-active basic.target"); got != "active" {
		t.Errorf("after a new daemon the second manager is %s", got)
	}
	if got := b.ask(first, "systemctl --user is-active of-the-first"); got != "active" {
		t.Errorf("the first manager's service is %s", got)
	}
	if listed := b.Must("sessionctl", "list"); strings.Count(listed, "yes") < 2 {
		t.Errorf("two managers are not listed:\n%s", listed)
	}
	b.leave(other)
	b.eventually("the second managers to end with the last session", b.managers)
	if got := b.ask(first, "systemctl --user is-active of-the-first"); got != "active" {
		t.Errorf("with the second managers went a service of the first: %s", got)
	}
	first.Close()
	b.choose("")
	b.gone("bob")
}

// hostChosen: who asks for the host beside a view gets it, and is told whose bus is there.
func (b *Booted) hostChosen(t *testing.T) {
	b.stay("bob")
	b.choose("none")
	defer b.choose("")
	p, shown := b.look(t, Ways[1], "bob")
	if p["mnt"] != b.hostNS() || !strings.Contains(shown, "your user manager and its bus are in profile marked") {
		t.Errorf("%v:\n%s", p, shown)
	}
	b.gone("bob")
}

// told logs in on a terminal to the whole of profile marked, with a line that
// says so much.
func (b *Booted) told(t *testing.T, user, line string) {
	t.Helper()
	p, shown := b.look(t, Ways[1], user)
	b.whole(t, p, user)
	if p["marker"] != "marked" || !strings.Contains(shown, line) {
		t.Errorf("%v:\n%s", p, shown)
	}
}

// lingerBefore: a user manager that ran before the daemon stays where it is, and
// a login has its view all the same.
func (b *Booted) lingerBefore(t *testing.T) {
	b.Must("systemctl", "stop", "sessiond-door.socket", "sessiond.service")
	b.Must("loginctl", "enable-linger", "carol")
	uid := b.Must("id", "-u", "carol")
	b.eventually("the manager to run", func() string {
		if r := b.Run("systemctl", "is-active", "user@"+uid+".service"); !r.OK() {
			return r.String()
		}
		return ""
	})
	b.Must("systemctl", "start", "sessiond-door.socket", "sessiond.service")
	b.managed("carol")
	b.told(t, "carol", "ninefold: your user manager runs on the host (it was started without ninefold), and this session has one of its own")
	if in := b.Must("sh", "-c", fmt.Sprintf("readlink /proc/$(systemctl show --property=MainPID --value user@%s.service)/ns/mnt", uid)); in != b.hostNS() {
		t.Errorf("the manager that was there is in %s", in)
	}
	b.Must("loginctl", "disable-linger", "carol")
	b.gone("carol")
}

// recovered: a login that fell back to the host keeps it, and the next one has its view.
func (b *Booted) recovered(t *testing.T) {
	b.Must("systemctl", "stop", "sessiond-door.socket", "sessiond.service")
	fallen := b.stay("bob")
	if ns := b.ask(fallen, "readlink /proc/self/ns/mnt"); ns != b.hostNS() || !strings.Contains(fallen.Shown(), "you are on the host") {
		t.Errorf("without a daemon in %s:\n%s", ns, fallen.Shown())
	}
	b.Must("systemctl", "start", "sessiond-door.socket", "sessiond.service")
	b.managed("bob")
	b.told(t, "bob", "and this session has one of its own")
	if got := b.ask(fallen, "systemctl --user is-active basic.target; readlink /proc/self/ns/mnt"); got != "active\n"+b.hostNS() {
		t.Errorf("the login that fell back: %s", got)
	}
	fallen.Close()
	b.gone("bob")
}

// changed: the manager of an earlier login is still there when the configuration has changed.
func (b *Booted) changed(t *testing.T) {
	before := b.probe(t, Ways[0], "bob")
	b.configure("[login]\ndefault = \"second\"\n")
	p, shown := b.look(t, Ways[1], "bob")
	b.whole(t, p, "bob")
	if p["mnt"] != before["mnt"] || !strings.Contains(shown, "ninefold: you join your running session in profile marked") {
		t.Errorf("%v:\n%s", p, shown)
	}
	b.gone("bob")
	if p := b.probe(t, Ways[0], "bob"); p["marker"] != "second" {
		t.Errorf("after everything had ended: %v", p)
	}
	b.gone("bob")
}

// viewOfUnit: a unit of the user manager, such as a desktop's terminal, is in
// another profile than the session, on the session's bus.
func (b *Booted) viewOfUnit(t *testing.T) {
	b.Write("/home/bob/.config/systemd/user/term.service", "[Service]\nType=exec\nExecStart=/bin/sh -c '{ cat /etc/ninefold-marker; echo; readlink /proc/self/ns/mnt; "+busID+"; } >%h/from-the-unit; exec sleep 1000'\n")
	b.Must("chown", "-R", "bob:bob", "/home/bob/.config")
	in := b.managed("bob")
	ns, bus := b.ask(in, "readlink /proc/self/ns/mnt"), b.ask(in, busID)
	look := func() []string {
		t.Helper()
		b.ask(in, "rm -f ~/from-the-unit; systemctl --user restart term")
		var lines []string
		b.eventually("the unit to write", func() string {
			lines = strings.Split(strings.TrimSpace(b.Run("cat", "/home/bob/from-the-unit").Stdout), "\n")
			if len(lines) == 3 {
				return ""
			}
			return fmt.Sprintf("%q", lines)
		})
		return lines
	}
	b.ask(in, "sessionctl view term --profile second")
	if got := look(); got[0] != "second" || got[1] == ns || got[2] != bus {
		t.Errorf("the unit is in %q, and the session in %s with bus %s", got, ns, bus)
	}
	if got := b.ask(in, "sessionctl view --list; sessionctl list"); !strings.Contains(got, "term.service") || !strings.Contains(got, "second") {
		t.Errorf("listed: %s", got)
	}
	for _, wrong := range []string{"view term --profile secret", "view term --profile none", "view ../x --profile second", "view nosuch --profile second", "view nosuch --remove"} {
		if _, code, err := in.Do("sessionctl " + wrong); err != nil || code == 0 {
			t.Errorf("%s: exit status %d %v", wrong, code, err)
		}
	}
	// What the configuration takes away is not to be had by a file of one's own.
	b.configure("[login]\ndefault = \"marked\"\n")
	if got := look(); got[1] != ns {
		t.Errorf("without permission the unit is in %q", got)
	}
	b.configure("[login]\ndefault = \"marked\"\nchoose = [\"second\", \"loose\", \"none\"]\n")
	b.ask(in, "sessionctl view term.service --remove")
	if got := look(); got[0] != "marked" || got[1] != ns {
		t.Errorf("afterwards the unit is in %q", got)
	}
	b.leave(in)
	b.gone("bob")
}
