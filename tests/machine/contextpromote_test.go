package machine

import (
	"strings"
	"testing"

	"ninefold/roots/debian/testrepo"
)

// contextPromote has the machine get what was installed in a context.
func (b *Booted) contextPromote(t *testing.T, repo *testrepo.Repository) {
	repo.Publish(t, toollib("1.0"))
	b.Must("apt-get", "update", "-qq")
	b.Must("hc", "new", "pro")
	if r := b.Run("hc", "promote", "--dry-run", "pro"); r.Code != 3 || !strings.Contains(r.Stderr, "no packages of its own") {
		t.Errorf("of a context without packages: %s", r)
	}
	b.hc("pro", "apt-get install -qq -y toollib; echo mine >/etc/mine")
	before := b.untouched()
	b.want(b.Must("hc", "promote", "--dry-run", "pro"), "apt-get install -- toollib\nstays in the context: + /etc/mine")
	if r := b.Run("hc", "promote", "pro"); r.Code != 2 || !strings.Contains(r.Stderr, "--yes") {
		t.Errorf("with nobody to ask: %s", r)
	}
	b.want(b.untouched(), before)
	b.Must("hc", "promote", "--yes", "pro")
	b.want(b.Must("sh", "-c", "cat /usr/share/toollib/version; ls /etc/mine 2>/dev/null || echo not brought; apt-mark showmanual toollib"), "1.0\nnot brought\ntoollib")
	// What apt cannot do is told.
	b.Must("apt-get", "purge", "-qq", "-y", "toollib")
	repo.Publish(t)
	b.Must("apt-get", "update", "-qq")
	if r := b.Run("hc", "promote", "--yes", "pro"); r.Code != 1 || !strings.Contains(r.Stderr, "apt-get ended with status 100") {
		t.Errorf("a package that no archive has: %s", r)
	}
	b.Must("hc", "delete", "pro")
}

// contextPromoteByPolicy has people in a login on a context ask for its packages on the
// machine: the host policy decides.
func (b *Booted) contextPromoteByPolicy(t *testing.T, repo *testrepo.Repository) {
	repo.Publish(t, toollib("1.0"))
	b.Must("apt-get", "update", "-qq")
	b.Must("hc", "new", "team")
	b.hc("team", "apt-get install -qq -y toollib; echo mine >/etc/mine")
	b.Write(profileDir+"team.toml", "version = 1\nbase = \"context:team\"\n")
	b.Must("cp", "/etc/ninefold/host.policy", "/run/host.policy")
	b.Write("/etc/ninefold/host.policy", "ninefold 1\nallow user alice profile team as root run /usr/bin/sessionctl context promote --yes|--dry-run team\n")
	b.configure("[login]\n[login.users]\nalice = \"team\"\nbob = \"team\"\n")
	alice, bob := b.stay("alice"), b.stay("bob")
	try := func(term *Terminal, command string, code int, want string) {
		t.Helper()
		out, got, err := term.Do("cat /usr/share/toollib/version && " + command)
		if err != nil || got != code || !strings.Contains(out, "1.0") || !strings.Contains(out, want) {
			t.Errorf("%s: want %d and %q: %d %v %s", command, code, want, got, err, out)
		}
	}
	const installed = "dpkg-query -W -f '${Version}' toollib 2>/dev/null || echo not there"
	try(bob, "hc promote --yes team", 124, "denied")
	try(alice, "hc promote --yes other", 124, "denied")
	try(alice, "hc promote team", 124, "denied") // nobody but the policy's words
	try(alice, "hc promote --dry-run team", 0, "apt-get install -- toollib")
	b.want(b.Must("sh", "-c", installed), "not there")
	try(alice, "hc promote --yes team", 0, "stays in the context: + /etc/mine")
	b.want(b.Must("sh", "-c", installed+"; echo; ls /etc/mine 2>/dev/null || echo not brought"), "1.0\nnot brought")
	alice.Close()
	bob.Close()
	b.gone("alice")
	b.gone("bob")
	b.Must("sh", "-c", "apt-get purge -qq -y toollib; cp /run/host.policy /etc/ninefold/host.policy; hc delete team; rm "+profileDir+"team.toml")
	b.configure("")
}
