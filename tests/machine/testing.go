package machine

import (
	"context"
	"os"
	"strings"
	"testing"

	"ninefold/tests/needs"
)

// Booted is a machine of a test: what goes wrong with the machine fails the
// test, and the machine ends with it. How a command ends is the test's matter.
type Booted struct {
	*Machine
	t   testing.TB
	ctx context.Context
}

// Boot boots a machine for t. Without root and the programs it needs the test
// ends (package needs).
func Boot(t testing.TB, suite string, o Options) *Booted {
	t.Helper()
	Able(t)
	ctx := t.Context()
	m, err := Start(ctx, suite, o)
	if err != nil {
		t.Fatal(err)
	}
	b := &Booted{Machine: m, t: t, ctx: ctx}
	t.Cleanup(func() {
		if t.Failed() {
			b.ctx = context.Background()
			t.Logf("the machine's log:\n%s", b.lastLog())
		}
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

// Able ends a test where this host cannot boot a machine, or lacks one of the
// further programs.
func Able(t testing.TB, programs ...string) {
	t.Helper()
	needs.Root(t)
	if os.Getenv(Inside) == "" {
		needs.Programs(t, append([]string{"systemd-nspawn", "mmdebstrap", "nsenter"}, programs...)...)
	}
}

// For returns the same machine for a subtest.
func (b *Booted) For(t testing.TB) *Booted {
	return &Booted{Machine: b.Machine, t: t, ctx: t.Context()}
}

func (b *Booted) lastLog() string {
	r := b.Machine.Run(b.ctx, "journalctl", "--no-pager", "--boot", "--lines=60", "--output=short-monotonic")
	return r.Stdout
}

// Run runs a command as root.
func (b *Booted) Run(args ...string) Result {
	b.t.Helper()
	return b.sane(b.Machine.Run(b.ctx, args...))
}

// RunAs runs a command as a user, without a login: no PAM, no session.
func (b *Booted) RunAs(user string, args ...string) Result {
	b.t.Helper()
	return b.Run(append([]string{"setpriv", "--reuid=" + user, "--regid=" + user, "--init-groups", "--"}, args...)...)
}

// Must runs a command as root, wants it to succeed, and returns its output
// without the space around it.
func (b *Booted) Must(args ...string) string {
	b.t.Helper()
	r := b.Run(args...)
	if !r.OK() {
		b.t.Fatal(r)
	}
	return strings.TrimSpace(r.Stdout)
}

// SSH runs a command by ssh.
func (b *Booted) SSH(user, command string, options ...string) Result {
	b.t.Helper()
	return b.sane(b.Machine.SSH(b.ctx, user, command, options...))
}

// Login runs one line of shell in a login of the given way.
func (b *Booted) Login(w Way, user, command string) Result {
	b.t.Helper()
	return b.sane(w.Login(b.ctx, b.Machine, user, command))
}

// Write writes a file of the machine.
func (b *Booted) Write(name, text string) {
	b.t.Helper()
	b.check(b.Machine.Write(b.ctx, name, text))
}

// Journal returns what a unit has written to the log.
func (b *Booted) Journal(unit string) string {
	b.t.Helper()
	text, err := b.Machine.Journal(b.ctx, unit)
	b.check(err)
	return text
}

// Reboot shuts the machine down and boots it again.
func (b *Booted) Reboot() {
	b.t.Helper()
	b.check(b.Machine.Reboot(b.ctx))
}

func (b *Booted) sane(r Result) Result {
	b.t.Helper()
	if r.Err != nil {
		b.t.Fatal(r)
	}
	return r
}

func (b *Booted) check(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}
