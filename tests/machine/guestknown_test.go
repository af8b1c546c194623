package machine

import (
	"fmt"
	"strings"
	"testing"
)

// guestRules are polkit's rules by which bob may become carol, and guests may do one
// thing more than others.
const guestRules = `polkit.addRule(function(action, subject) {
	if (action.id == "org.freedesktop.policykit.exec" && subject.user == "bob" && action.lookup("user") == "carol") return polkit.Result.YES;
	if (action.id == "org.freedesktop.hostname1.set-hostname" && /^guest-6[0-9]+$/.test(subject.user)) return polkit.Result.YES;
});
`

// guestIsKnown wants the machine's programs to know a guest who is in, as an account
// that nobody can log in to.
func (b *Booted) guestIsKnown(t *testing.T, name string) {
	t.Helper()
	uid := strings.TrimPrefix(name, "guest-")
	b.want(b.Must("getent", "group", uid), fmt.Sprintf("%s:x:%s:", name, uid))
	b.want(b.Must("getent", "shadow", name), name+":!*::::::1:")
	for _, want := range []string{"Disposition: dynamic", "Locked: yes", "Password OK: no (locked)"} {
		if said := b.Must("userdbctl", "user", name); !strings.Contains(said, want) {
			t.Errorf("userdb does not say %q:\n%s", want, said)
		}
	}
	if said := b.Must("loginctl", "list-users", "--no-legend"); !strings.Contains(said, " "+name) {
		t.Errorf("logind's users are %s", said)
	}
	pid := b.Must("pgrep", "-o", "-u", name)
	b.want(b.Must("ps", "-p", pid, "-o", "user:32="), name)
	b.want(b.Must("sh", "-c", "busctl call org.freedesktop.login1 /org/freedesktop/login1 org.freedesktop.login1.Manager GetUser u $0", uid),
		fmt.Sprintf("o \"/org/freedesktop/login1/user/_%s\"", uid))

	const rules = "/etc/polkit-1/rules.d/05-guests.rules"
	b.Write(rules, guestRules)
	defer b.Run("rm", rules)
	polkit := []string{"pkcheck", "--action-id", "org.freedesktop.hostname1.set-hostname", "--process"}
	b.eventually("polkit to know the guest", func() string {
		if r := b.Run(append(polkit, pid)...); !r.OK() {
			return r.String()
		}
		return ""
	})
	if r := b.RunAs("bob", "sh", "-c", strings.Join(polkit, " ")+" $$; exit $?"); r.Code != 2 {
		t.Errorf("for polkit bob is a guest: %s", r)
	}

	// Bob may become carol by pkexec; alice anybody by sudo, which is root's power over every uid.
	const pkexec = "pkexec --user $0 id -un; exit $?" // whose parent has to be there
	if r := b.RunAs("bob", "sh", "-c", pkexec, "carol"); r.Stdout != "carol\n" {
		t.Errorf("bob does not become carol by pkexec: %s", r)
	}
	for _, way := range [][]string{
		{"bob", "sh", "-c", pkexec, name}, {"bob", "sh", "-c", pkexec, "guest"},
		{"alice", "sudo", "-n", "-u", "guest", "id"}, {"alice", "sudo", "-n", "-i", "-u", name, "id"}, {"bob", "sudo", "-n", "-u", name, "id"},
		{"alice", "ssh", "-o", "BatchMode=yes", name + "@localhost", "id"}, {"root", "ssh", "-o", "BatchMode=yes", name + "@localhost", "id"},
		{"root", "su", "-s", "/bin/sh", "-c", "id", name}, {"root", "su", "-s", "/bin/sh", "-c", "id", "guest"},
	} {
		if r := b.RunAs(way[0], way[1:]...); r.OK() || r.Stdout != "" {
			t.Errorf("%s became the guest: %s", way[0], r)
		}
	}
	for _, service := range []string{"login", "lightdm", "greetd", "sshd", "su", "su-l", "sudo", "cron", "polkit-1"} {
		r := b.Run("pamtester", service, name, "acct_mgmt")
		if r.OK() || !strings.Contains(r.Stderr, "expired") {
			t.Errorf("for %s the account is good: %s", service, r)
		}
		r = b.Run("sh", "-c", "echo | pamtester $0 $1 authenticate", service, name)
		if r.OK() && service != "su" && service != "su-l" { // where root is asked for nothing
			t.Errorf("an empty password logs in by %s: %s", service, r)
		}
	}
}

// guestIsUnknown wants no program to know a guest any more.
func (b *Booted) guestIsUnknown(t *testing.T, name string) {
	t.Helper()
	uid := strings.TrimPrefix(name, "guest-")
	for _, question := range [][]string{
		{"getent", "passwd", name}, {"getent", "passwd", uid}, {"getent", "group", name}, {"getent", "shadow", name},
		{"userdbctl", "user", name}, {"id", name}, {"loginctl", "user-status", name},
		{"busctl", "call", "org.freedesktop.login1", "/org/freedesktop/login1", "org.freedesktop.login1.Manager", "GetUser", "u", uid},
	} {
		b.eventually("the guest to be unknown", func() string {
			if r := b.Run(question...); r.Err != nil || r.Code == 0 {
				return r.String()
			}
			return ""
		})
	}
}
