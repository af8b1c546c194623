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
