package machine

import (
	"strings"
	"testing"

	"ninefold/roots/debian/testrepo"
)

// contextFaults tries what can be wrong with names, records, the machine's packages
// and the disk.
func (b *Booted) contextFaults(t *testing.T, repo *testrepo.Repository) {
	repo.Publish(t, tool("1.0"), toollib("1.0"), faulty("1.0"))
	b.Must("sh", "-c", "apt-get update -qq && apt-get install -qq -y faulty")
	b.contextNames()
	b.contextNewer()
	b.contextBroken(t, repo)
	b.contextFull()
}

// faulty is a package of the machine's that is upgraded.
func faulty(version string) testrepo.Deb {
	return testrepo.Deb{Name: "faulty", Version: version, Files: []testrepo.File{{Path: "usr/share/faulty/version", Text: version + "\n"}}}
}

func (b *Booted) contextNames() {
	b.Must("hc", "new", "good")
	for _, name := range []string{"", ".", "..", "../good", "a/b", "/etc", "-x", "A", "a b", "a\nb", "\x1b[31m", "a\x7f", strings.Repeat("a", 65)} {
		for _, args := range [][]string{{"new", "--", name}, {"rename", "--", "good", name}, {"snapshot", "--", name}, {"delete", "--", name}} {
			r := b.Run(append([]string{"hc"}, args...)...)
			if r.Code != 2 || strings.ContainsAny(r.Stderr, "\x1b\x7f") {
				b.t.Errorf("%q: %s", args, r)
			}
		}
	}
	b.want(b.Must("sh", "-c", "ls "+contextsDir+" | wc -l; "+madeContexts+" | wc -l"), "1\n1")
}

// contextNewer has a record that a newer version wrote.
func (b *Booted) contextNewer() {
	b.Must("hc", "new", "newer")
	b.Must("sh", "-c", `for f in `+contextsDir+`/*/record; do ! grep -q '"name":"newer"' $f || printf '\377' | dd of=$f bs=1 seek=8 conv=notrunc status=none; done; cat `+contextsDir+`/*/record >/run/before`)
	for _, args := range [][]string{{"enter", "newer", "--", "true"}, {"delete", "newer"}, {"rebase", "newer"}, {"list"}} {
		if r := b.Run(append([]string{"hc"}, args...)...); r.OK() || !strings.Contains(r.Stderr, "of a newer version") {
			b.t.Errorf("%q of a newer version: %s", args, r)
		}
	}
	if r := b.Run("hc", "list"); !strings.Contains(r.Stdout, "good") {
		b.t.Errorf("the others: %s", r)
	}
	b.Must("sh", "-c", `cat `+contextsDir+`/*/record | cmp - /run/before; for f in `+contextsDir+`/*/record; do ! grep -q '"name":"newer"' $f || rm -r ${f%/*}; done`)
	b.Must("hc", "delete", "good")
}

// contextBroken rebases while the machine's packages are not in order, and twice at
// once.
func (b *Booted) contextBroken(t *testing.T, repo *testrepo.Repository) {
	b.Must("hc", "new", "br")
	b.hc("br", "apt-get install -qq -y tool; echo mine >/etc/motd")
	repo.Publish(t, tool("2.0"), toollib("2.0"), faulty("2.0"))
	b.Must("sh", "-c", "apt-get update -qq && apt-get install -qq -y faulty; cp -p /var/lib/dpkg/status /run/status")
	for _, c := range [][2]string{
		{"truncate -s 0 /var/lib/dpkg/status", "dpkg itself"},
		{"truncate -s 70000 /var/lib/dpkg/status", "packages are not in order"},
		{"dd if=/dev/zero of=/var/lib/dpkg/status bs=4k count=4 conv=notrunc status=none", "malformed"},
		{"sed -i '/^Package: faulty$/,/^$/s/^Status: .*/Status: install reinstreq half-installed/' /var/lib/dpkg/status", "faulty is half installed"},
		{"rm /var/lib/dpkg/status", "dpkg itself"},
	} {
		b.Must("sh", "-c", c[0])
		if r := b.Run("hc", "rebase", "br"); r.Code != 1 || !strings.Contains(r.Stderr, c[1]) {
			t.Errorf("rebase after %s: %s", c[0], r)
		}
		b.Must("cp", "-p", "/run/status", "/var/lib/dpkg/status")
		b.want(b.hc("br", "tool; cat /etc/motd"), "tool 1.0\nmine")
	}
	b.want(b.Must("sh", "-c", "ls "+contextsDir+"/*/layers"), "1")
	out := b.Must("sh", "-c", `for i in 1 2 3; do { hc rebase br >/run/rebase$i 2>&1; echo $? >>/run/rebase$i; } & done; wait; tail -qn 1 /run/rebase?`)
	for code := range strings.FieldsSeq(out) {
		if code != "0" && code != "6" {
			t.Errorf("one of three at once ended with %s: %s", code, b.Must("cat", "/run/rebase1", "/run/rebase2", "/run/rebase3"))
		}
	}
	if !strings.Contains(out, "0") {
		t.Errorf("none of three at once did it: %s", b.Must("cat", "/run/rebase1", "/run/rebase2", "/run/rebase3"))
	}
	b.want(b.hc("br", "tool; cat /etc/motd"), "tool 2.0\nmine")
	b.want(b.Must("sh", "-c", "ls "+contextsDir+"/*/layers"), "1\n2")
	b.Must("hc", "delete", "br")
}

// contextFull fills the disk that contexts lie on.
func (b *Booted) contextFull() {
	b.Must("sh", "-c", "mount -t tmpfs -o size=24m,mode=700 tmpfs "+contextsDir)
	b.Must("hc", "new", "full")
	b.hc("full", "echo mine >/etc/motd")
	b.Must("hc", "snapshot", "full")
	before := b.untouched()
	if r := b.Run("hc", "enter", "full", "--", "sh", "-c", "cat /dev/zero >/srv/zeros"); r.Code != 1 || !strings.Contains(r.Stderr, "No space left on device") {
		b.t.Errorf("a full context: %s", r)
	}
	if r := b.Run("hc", "snapshot", "full"); r.Code != 1 || !strings.Contains(r.Stderr, "No space left on device") {
		b.t.Errorf("a snapshot on a full disk: %s", r)
	}
	b.Must("sh", "-c", "cat /dev/zero >"+contextsDir+"/.zeros || :")
	if r := b.Run("hc", "new", "another"); r.Code != 1 || !strings.Contains(r.Stderr, "no space left on device") {
		b.t.Errorf("another context on a full disk: %s", r)
	}
	b.Must("rm", contextsDir+"/.zeros")
	b.want(b.untouched(), before)
	b.want(b.Must("sh", "-c", "ls "+contextsDir+"/*/layers; "+madeContexts+" | wc -l"), "1\n2\n1")
	// The way out is open.
	b.want(b.hc("full", "cat /etc/motd; rm /srv/zeros"), "mine")
	b.Must("hc", "undo", "full")
	b.want(b.hc("full", "cat /etc/motd; cat /dev/zero >/srv/zeros 2>/dev/null || :"), "mine")
	b.Must("hc", "delete", "full")
	b.Must("umount", contextsDir)
}
