package machine

import (
	"strings"
	"testing"
)

// mistakesPolicy lets alice run little, so that each way round it would show.
const mistakesPolicy = `ninefold 1
deny user * profile * as * run /usr/bin/chfn ...
allow user alice profile marked as root run /usr/bin/id -u
allow user alice profile marked as root run /usr/bin/env
allow user alice profile marked as root run /usr/bin/printf x *
allow user alice profile marked as root run /usr/bin/ls -1 /proc/self/fd
allow user alice profile marked as root run /usr/bin/cat /var/log/*
allow user alice profile marked as root run /usr/local/bin/*
`

// TestHostPolicy tries, from a session on a booted machine, what has gone wrong
// in other programs that run commands for somebody, and what becomes of a policy
// that cannot be read.
func TestHostPolicy(t *testing.T) {
	for _, suite := range suites() {
		t.Run(suite, func(t *testing.T) {
			t.Parallel()
			b := installed(t, suite, Options{})
			t.Run("as-installed", func(t *testing.T) { b.For(t).policyAsInstalled(t) })
			b.Write("/etc/ninefold/host.policy", mistakesPolicy)
			b.reloaded()
			t.Run("ways-round", func(t *testing.T) { b.For(t).waysRound(t) })
			t.Run("nothing-comes-along", func(t *testing.T) { b.For(t).nothingComesAlong(t) })
			t.Run("never-right", func(t *testing.T) { b.For(t).policyNeverRight(t) })
		})
	}
}

func (b *Booted) policyAsInstalled(t *testing.T) {
	if r := b.Run("sessionctl", "policy", "check"); !r.OK() || r.Stdout != "" {
		t.Errorf("of the policy that is installed: %s", r)
	}
	// It asks, and there is nobody to ask.
	for _, command := range []string{"--no-ask id -u", "--no-ask --user alice id -u"} {
		if r := b.onHost(command); r.Code != 124 || r.Stdout != "" {
			t.Errorf("%s: %s", command, r)
		}
	}
}

// waysRound are words that look like what the policy allows.
func (b *Booted) waysRound(t *testing.T) {
	b.Must("sh", "-c", "ln -s /usr/bin/chfn /usr/local/bin/other-name; ln -s /usr/bin/id /usr/local/bin/link-to-id; "+
		"printf '#!/home/alice/sh\\n' > /usr/local/bin/foreign; chmod 755 /usr/local/bin/foreign; "+
		"mkdir -p /usr/local/bin/below; cp /usr/bin/id /usr/local/bin/below/id; echo log > /var/log/mine")
	b.SSH("alice", "cp /usr/bin/dash ~/sh; mkdir -p ~/bin; printf '#!/bin/sh\\necho planted\\n' > ~/bin/id; chmod 755 ~/bin/id")
	for _, c := range []struct {
		what, command, stdout string
		code                  int
	}{
		{"what is allowed", "id -u", "0", 0},
		{"by another spelling of the path", "/usr/sbin/../bin/id -u", "0", 0},
		{"by a link among the directories", "/bin/id -u", "0", 0},
		{"by a link that root made", "link-to-id -u", "", 124}, // no arguments
		{"more arguments", "id -u root", "", 124},
		{"other arguments", "id -g", "", 124},
		{"both in one word", "'id -u'", "", 127},
		{"a shell's words", "id -u ';' id -g", "", 124},
		{"an option where a word is meant", "printf x -v", "", 124},
		{"our own option where theirs belongs", "printf x --user=alice", "", 124},
		{"a word with blanks and quotes", `printf x "'a b'; id"`, "x", 0},
		{"climbing out of a path", "cat /var/log/../../etc/shadow", "", 124},
		{"a path below", "cat /var/log/mine", "log", 0},
		{"a denied program by another name", "other-name", "", 124},
		{"a script whose interpreter is the user's", "foreign", "", 124},
		{"a directory below the one that is allowed", "/usr/local/bin/below/id", "", 124},
		{"a program of the user's", "/home/alice/bin/id -u", "", 124},
		{"a specifier of systemd's", "printf x %u", "x", 0},
	} {
		r := b.SSH("alice", "PATH=$HOME/bin:$PATH sessionctl host "+c.command)
		if r.Code != c.code || strings.TrimSpace(r.Stdout) != c.stdout {
			t.Errorf("%s: %s: want %q and %d: %s", c.what, c.command, c.stdout, c.code, r)
		}
	}
	// What the name means can change while it is asked for: what runs is the
	// host's or nothing, since nobody but root makes the names on the way.
	r := b.SSH("alice", `mkdir -p ~/swap; (while :; do ln -sfn /usr/bin ~/swap/d; ln -sfn ~/bin ~/swap/d; done) & p=$!
		for i in $(seq 20); do sessionctl host ~/swap/d/id -u; echo $?; done 2>/dev/null | sort | uniq -c; kill $p`)
	if strings.Contains(r.Stdout, "planted") || !strings.Contains(r.Stdout, "20 124") {
		t.Errorf("a link that is swapped meanwhile: %s", r)
	}
}

// nothingComesAlong looks at what a command gets from its caller.
func (b *Booted) nothingComesAlong(t *testing.T) {
	r := b.SSH("alice", "exec 7</etc/passwd 9</; cd /tmp; LD_PRELOAD=/tmp/x.so LD_LIBRARY_PATH=/tmp BASH_ENV=/tmp/x GCONV_PATH=/tmp PYTHONPATH=/tmp PATH=/tmp:$PATH NOTIFY_SOCKET=/tmp/n XDG_RUNTIME_DIR=/tmp /usr/bin/sessionctl host env; /usr/bin/sessionctl host ls -1 /proc/self/fd")
	for _, not := range []string{"LD_PRELOAD", "LD_LIBRARY", "BASH_ENV", "GCONV", "PYTHONPATH", "=/tmp", ":/tmp", "NOTIFY_SOCKET", "SSH_", "/home/alice"} {
		if strings.Contains(r.Stdout, not) {
			t.Errorf("%s comes along: %s", not, r)
		}
	}
	env, fds, ok := strings.Cut(r.Stdout, "\n0\n")
	// The last is the directory that ls reads.
	if !ok || fds != "1\n2\n3\n" || !strings.Contains(env+"\n", "USER=root\n") {
		t.Errorf("descriptors or environment: %s", r)
	}
}

// policyNeverRight starts the daemon with a policy that cannot be read.
func (b *Booted) policyNeverRight(t *testing.T) {
	// One that others can change is none, and what was right before stays.
	b.Must("chmod", "666", "/etc/ninefold/host.policy")
	b.reloaded()
	if out := b.Must("sessionctl", "status"); !strings.Contains(out, "not root's alone") {
		t.Errorf("a policy that everybody can write is not told of:\n%s", out)
	}
	if r := b.onHost("id -u"); r.Code != 0 {
		t.Errorf("what was right before is not in force: %s", r)
	}
	b.Must("chmod", "644", "/etc/ninefold/host.policy")
	b.Write("/etc/ninefold/host.policy.d/bad.policy", "ninefold 1\nalow user *\n")
	b.Must("systemctl", "restart", "sessiond")
	if r := b.onHost("id -u"); r.Code != 124 || !strings.Contains(r.Stderr, "no host policy that can be read") {
		t.Errorf("without any policy that was right: %s", r)
	}
	for _, command := range [][]string{{"sessionctl", "status"}, {"sessionctl", "doctor"}, {"journalctl", "--no-pager", "-u", "sessiond"},
		{"busctl", "get-property", "org.ninefold", "/org/ninefold", "org.ninefold.Manager", "ConfigurationError"}} {
		if r := b.Run(command...); !strings.Contains(r.Stdout, "bad.policy:2:1") {
			t.Errorf("%s does not tell: %s", command, r)
		}
	}
	b.Must("rm", "/etc/ninefold/host.policy.d/bad.policy")
	b.reloaded()
	if r := b.onHost("id -u"); r.Code != 0 {
		t.Errorf("when it is mended: %s", r)
	}
	b.Write("/etc/ninefold/host.policy.d/10.policy", "ninefold 1\ndeny\n")
	b.reloaded()
	if r := b.onHost("id -u"); r.Code != 124 || !strings.Contains(r.Stderr, "10.policy:2: deny") {
		t.Errorf("a denial that was just written: %s", r)
	}
	b.Must("rm", "/etc/ninefold/host.policy.d/10.policy")
	b.reloaded()
}
