package packaging

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"ninefold/tests/machine"
)

// TestFiveCommands types what README says under "On a real machine, in five
// commands", line by line as it stands there, at a terminal of an administrator
// on a booted machine, and then what undoes it.
func TestFiveCommands(t *testing.T) {
	need(t, "mmdebstrap", "systemd-nspawn")
	lines := fiveCommands(t)
	deb := theDeb(t)
	for _, suite := range suites {
		t.Run(suite, func(t *testing.T) {
			t.Parallel()
			b := machine.Boot(t, suite, machine.Options{})
			end, err := b.Archive(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer end()
			p := administrator(t, b, deb)
			before := b.Must("sh", "-c", everything)
			p.follow(lines)
			p.undo(before)
		})
	}
}

// fiveCommands are the lines of README's block.
func fiveCommands(t *testing.T) (lines []string) {
	t.Helper()
	text, err := os.ReadFile(top + "/README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(text), "## On a real machine, in five commands\n")
	for line := range strings.Lines(after) {
		if command, ok := strings.CutPrefix(line, "    "); ok {
			lines = append(lines, strings.TrimSpace(command))
		} else if len(lines) > 0 {
			break
		}
	}
	if len(lines) != 5 || !strings.HasPrefix(lines[0], "make deb") || !strings.HasPrefix(lines[4], "su -l alice") {
		t.Fatalf("README's five commands are %q", lines)
	}
	return lines
}

// everything prints what a machine has that a package could leave behind, with the contents of /etc.
const everything = `cd /
find etc -type f ! -name ld.so.cache -exec sha256sum {} + | sort -k2
find etc -printf '%p %M %U:%G %l\n' | grep -v '^etc drw\|ld.so.cache' | sort
find usr -not -path 'usr/share/*/__pycache__*' -printf '%p %M\n' | sort
getent passwd; getent group
find var/lib/ninefold var/lib/pam var/lib/systemd/deb-systemd-helper-* -mindepth 1 -printf '%p\n' | sort
systemctl list-unit-files --no-legend --plain
find run/ninefold run/systemd/system/user@.service.d run/systemd/transient -name '*ninefold*' 2>/dev/null
true`

// person is an administrator at a terminal.
type person struct {
	t *testing.T
	*machine.Booted
	term *machine.Terminal
}

// administrator is bob, who may do everything by sudo, in a directory with the
// package where `make deb` puts it.
func administrator(t *testing.T, b *machine.Booted, deb string) *person {
	t.Helper()
	b.Write("/etc/sudoers.d/bob", "bob ALL=(ALL:ALL) NOPASSWD: ALL\n")
	if err := b.CopyIn(t.Context(), deb, "/home/bob/dist/ninefold_0.0.1_amd64.deb", 0o644); err != nil {
		t.Fatal(err)
	}
	term, err := b.LogIn(t.Context(), "bob", "login", "bob")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(term.Close)
	return &person{t, b, term}
}

var (
	shell    = regexp.MustCompile(`(bob|alice)@machine:\S+\$ $`)
	password = regexp.MustCompile(`assword: ?$`)
	sure     = regexp.MustCompile(`\[Y/n\] ?$`)
	status   = regexp.MustCompile(`(?s)^.*?STATUS=([0-9]+)=`)
)

// types types a line, answers what it asks as a person does who means it, and returns
// what was shown when the prompt is there again.
func (p *person) types(line string) string {
	p.t.Helper()
	from := len(p.term.Shown())
	p.enter(line)
	for {
		which, _, err := p.term.Expect(10*time.Minute, shell, password, sure)
		if err != nil {
			p.t.Fatalf("%s: %v; shown:\n%s", line, err, p.term.Shown()[from:])
		}
		switch which {
		case 0:
			return p.term.Shown()[from:]
		case 1:
			p.enter("alice")
		case 2:
			p.enter("y")
		}
	}
}

// succeeds types a line that is to succeed.
func (p *person) succeeds(line string) string {
	p.t.Helper()
	out := p.types(line)
	p.enter("echo STATUS=$?=")
	_, found, err := p.term.Expect(time.Minute, status)
	if err == nil {
		_, _, err = p.term.Expect(time.Minute, shell)
	}
	if err != nil || found[1] != "0" {
		p.t.Fatalf("%s: exit status %v, %v; shown:\n%s", line, found, err, out)
	}
	return out
}

func (p *person) enter(line string) {
	p.t.Helper()
	if err := p.term.Type(line + "\n"); err != nil {
		p.t.Fatal(err)
	}
}

// asks types a line and returns what it printed.
func (p *person) asks(line string) string {
	p.t.Helper()
	out, code, err := p.term.Do(line)
	if err != nil || code != 0 {
		p.t.Fatalf("%s: %q, exit status %d, %v; shown:\n%s", line, out, code, err, p.term.Shown())
	}
	return strings.TrimSpace(out)
}

// follow does what README's block says; the package is there already.
func (p *person) follow(lines []string) {
	p.t.Helper()
	for _, line := range lines[1:4] {
		began := time.Now()
		p.succeeds(line)
		p.t.Logf("%.1f s: %s", time.Since(began).Seconds(), line)
	}
	host := p.Must("readlink", "/proc/1/ns/mnt")
	if ns := p.asks("readlink /proc/self/ns/mnt"); ns != host {
		p.t.Errorf("the administrator, who has no profile, is in %s, and the machine is %s", ns, host)
	}
	if out := p.types(lines[4]); strings.Contains(out, "ninefold:") {
		p.t.Errorf("alice is told on her way in:\n%s", out)
	}
	ns := p.asks("readlink /proc/self/ns/mnt")
	if who := p.asks("id -un"); who != "alice" || ns == host {
		p.t.Fatalf("%s is in %s, and the machine is %s\n%s", who, ns, host, p.Journal("sessiond.service"))
	}
	// su in bob's session begins none of logind's, on any Debian; ssh does.
	if r := p.SSH("alice", "readlink /proc/self/ns/mnt; systemd-run --user --quiet --pipe readlink /proc/self/ns/mnt"); r.Stdout != ns+"\n"+ns+"\n" {
		p.t.Errorf("by ssh, the shell and what the user manager starts are not in %s: %s", ns, r)
	}
	if root := p.asks("sed -n s/^VERSION_CODENAME=//p /etc/os-release; test -x /usr/bin/openbox; test ! -e /usr/sbin/sshd && echo not the machine"); root != "trixie\nnot the machine" {
		p.t.Errorf("the root is %q", root)
	}
	p.asks("echo mine >~/mine")
	if mine := p.Must("cat", "/home/alice/mine"); mine != "mine" {
		p.t.Errorf("alice's home is not hers: %q", mine)
	}
	if out := p.asks("sessionctl ns"); !strings.Contains(out, "mount ") {
		p.t.Errorf("sessionctl ns in the session prints:\n%s", out)
	}
	p.types("exit")
	if who := p.asks("id -un"); who != "bob" {
		p.t.Errorf("alice logged out, and it is %s", who)
	}
}

// undo does what README says about undoing it. before is what everything said of the machine.
func (p *person) undo(before string) {
	p.t.Helper()
	host := p.Must("readlink", "/proc/1/ns/mnt")
	onHost := func(when string) {
		p.t.Helper()
		out := p.types("su -l alice")
		if ns := p.asks("readlink /proc/self/ns/mnt"); ns != host || p.asks("id -un") != "alice" || strings.Contains(out, "ninefold:") {
			p.t.Errorf("%s, alice is in %s, and the machine is %s:\n%s", when, ns, host, out)
		}
		p.types("exit")
	}
	p.succeeds("sudo sed -i '/^alice = /d' /etc/ninefold/ninefold.toml")
	p.ended("alice")
	onHost("with the line taken out")
	p.succeeds("sudo apt purge ninefold")
	onHost("purged")
	if after := p.Must("sh", "-c", everything); after != before {
		p.t.Errorf("the purge left, or took:\n%s", difference(before, after))
	}
}

// ended waits until nothing of a user's sessions is left.
func (p *person) ended(user string) {
	p.t.Helper()
	for end := time.Now().Add(2 * time.Minute); ; time.Sleep(200 * time.Millisecond) {
		left := p.Run("pgrep", "--list-full", "--uid", user)
		if left.Code == 1 {
			return
		}
		if time.Now().After(end) {
			p.t.Fatalf("of %s, who logged out, is left: %s", user, left)
		}
	}
}

// difference is what lines one text has and the other has not.
func difference(before, after string) string {
	var b strings.Builder
	was, is := strings.Split(before, "\n"), strings.Split(after, "\n")
	for _, line := range was {
		if !slices.Contains(is, line) {
			b.WriteString("- " + line + "\n")
		}
	}
	for _, line := range is {
		if !slices.Contains(was, line) {
			b.WriteString("+ " + line + "\n")
		}
	}
	return b.String()
}
