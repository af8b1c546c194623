package machine

import (
	"strings"
	"testing"
)

// hostPolicy lets alice do what the tests do, has bob asked, and denies the rest.
const hostPolicy = `ninefold 1
deny user * profile * as * run /usr/bin/chfn ...
allow user alice profile marked as root|self|carol run * ...
ask user bob profile * as root remember 5m run /usr/bin/id ...
`

// TestHost runs commands on the host from a session, as a person does, by
// sessionctl over ssh and on terminals.
func TestHost(t *testing.T) {
	for _, suite := range suites() {
		t.Run(suite, func(t *testing.T) {
			b := installed(t, suite, Options{})
			b.Write("/etc/ninefold/host.policy", hostPolicy)
			b.configured()
			t.Run("run", func(t *testing.T) { b.For(t).hostRuns(t) })
		})
	}
}

// onHost runs sessionctl host in a session of alice.
func (b *Booted) onHost(command string) Result {
	b.t.Helper()
	return b.SSH("alice", "sessionctl host "+command)
}

func (b *Booted) hostRuns(t *testing.T) {
	if r := b.SSH("alice", "cat /etc/ninefold-marker; sessionctl host cat /etc/ninefold-marker"); r.Stdout != "marked" || r.Code != 1 {
		t.Errorf("it does not run on the host: %s", r)
	}
	if r := b.onHost("true"); r.Code != 0 || r.Stdout+r.Stderr != "" {
		t.Error(r)
	}
	for _, c := range []struct {
		command, stdout string
		code            int
	}{
		{"readlink /proc/self/ns/mnt", b.hostNS(), 0},
		{"sh -c 'exit 77'", "", 77},
		{"sh -c 'exit 203'", "", 203},
		{"sh -c 'kill -TERM $$'", "", 128 + 15},
		{"sh -c 'kill -SEGV $$'", "", 128 + 11},
		{"id -un", "root", 0},
		{"--user alice id -un", "alice", 0},
		{"--user carol id -un", "carol", 0},
		{"--user bob id -un", "", 124},
		{"chfn", "", 124},
		{"no-such-program", "", 127},
		{"/etc", "", 126},
		{"/etc/passwd", "", 126},
	} {
		r := b.onHost(c.command)
		if r.Code != c.code || strings.TrimSpace(r.Stdout) != c.stdout {
			t.Errorf("%s: want %q and %d: %s", c.command, c.stdout, c.code, r)
		}
	}
	if r := b.SSH("carol", "sessionctl host true"); r.Code != 124 || !strings.Contains(r.Stderr, "none of the 3 rules") {
		t.Errorf("no rule matches: %s", r)
	}
	t.Log(b.onHost("--explain apt-get -s upgrade"))
	t.Log(b.Must("journalctl", "-t", "ninefold-host", "--no-pager"))
	t.Log(b.Must("journalctl", "-u", "sessiond", "--no-pager"))
}
