package machine

import (
	"regexp"
	"strings"
	"testing"
)

// steps are the places between the modules of a session's PAM stack, each as an
// awk program that puts the line in l there.
var steps = []struct{ name, put string }{
	{"before prepare", `/pam_ninefold.so prepare/ { print l } { print }`},
	{"before the manager starts", `/pam_systemd.so/ { print l } { print }`},
	{"before it enters", `{ print } /pam_systemd.so/ { print l }`},
	{"inside", `{ print } /pam_ninefold.so/ && !/prepare/ { print l }`},
}

const withoutIt = "cp -p /run/common-session /etc/pam.d/common-session"

// atStep has a script run for logins of carol at one step. Its parent is the login
// program.
func (b *Booted) atStep(put, script string) {
	b.t.Helper()
	b.Write("/run/at-step", "#!/bin/sh\n[ \"$PAM_USER\" = carol ] || exit 0\n"+script+"\n")
	b.Must("chmod", "755", "/run/at-step")
	b.Must("sh", "-c", `awk -v l='session optional pam_exec.so quiet /run/at-step' '`+put+`' /run/common-session >/etc/pam.d/common-session`)
	if !b.Run("grep", "-q", "at-step", "/etc/pam.d/common-session").OK() {
		b.t.Fatal("the line is not in the stack: " + b.Must("cat", "/run/common-session"))
	}
}

// killedAtEveryStep kills login programs between any two modules, and while they
// wait for the daemon.
func (b *Booted) killedAtEveryStep(t *testing.T) {
	b.Must("cp", "-p", "/etc/pam.d/common-session", "/run/common-session")
	for _, s := range steps {
		b.atStep(s.put, "kill -KILL $PPID")
		if r := b.Machine.Run(b.ctx, "su", "-l", "carol", "-c", "echo came through"); r.OK() {
			t.Errorf("%s: su was not killed: %s", s.name, r)
		}
		if r := b.SSH("carol", "echo came through"); r.OK() {
			t.Errorf("%s: sshd was not killed: %s", s.name, r)
		}
		b.killedLogin(s.name)
	}
	// It waits for an answer: to prepare, and to the question for the view.
	const wait = `setsid su -l carol -c true >/dev/null 2>&1 & p=$!; sleep 0.6; kill -KILL $p; wait
		systemctl kill -s CONT sessiond.service; rm -f /run/ninefold/door.failed`
	b.Must("sh", "-c", withoutIt)
	b.gone("carol") // beside a manager nobody waits for the first
	b.Must("bash", "-c", "systemctl kill -s STOP sessiond.service; "+wait)
	b.atStep(steps[2].put, "systemctl kill -s STOP sessiond.service")
	b.Must("bash", "-c", wait)
	b.Must("sh", "-c", withoutIt)
	b.gone("carol")
	if p := b.probe(t, Ways[0], "carol"); p["marker"] != "marked" {
		t.Errorf("afterwards: %v", p)
	}
}

// killedLogin has login(1) killed on its way.
func (b *Booted) killedLogin(step string) {
	b.t.Helper()
	term, err := b.Terminal(b.ctx, "login", "carol")
	b.check(err)
	defer term.Close()
	if _, _, err := term.Expect(patience, asked); err != nil {
		b.t.Fatalf("%s: %v; shown:\n%s", step, err, term.Shown())
	}
	b.check(term.Type("carol\n"))
	if _, err := term.Wait(patience); err != nil {
		b.t.Errorf("%s: login: %v; shown:\n%s", step, err, term.Shown())
	}
	if regexp.MustCompile(`(?m)^carol@`).MatchString(term.Shown()) {
		b.t.Errorf("%s: login was not killed:\n%s", step, term.Shown())
	}
}

// badInput logs in with choices and names that nobody should believe.
func (b *Booted) badInput(t *testing.T) {
	b.Write(profileDir+"others.toml", strings.ReplaceAll(marked, "marked", "others"))
	b.configured()
	const secret = "nobody-believes-this"
	for name, c := range map[string]struct{ choice, said string }{
		"no such profile":    {secret, "not one that you may choose"},
		"another's":          {"others", "not one that you may choose"},
		"a path":             {"../../etc/shadow", "not one that you may choose"},
		"control characters": {"\x1b[2J\x01", ""},
		"a megabyte":         {strings.Repeat("x", 1<<20), ""},
	} {
		b.Write("/etc/environment", "NINEFOLD_PROFILE="+c.choice+"\n")
		r := b.Run("su", "-l", "bob", "-c", "cat /etc/ninefold-marker")
		if r.Stdout != "marked" || !strings.Contains(r.Stderr, c.said) || len(r.Stderr) > 1024 || strings.ContainsAny(r.Stderr, "\x1b\x01") {
			t.Errorf("%s: %q says %q", name, r.Stdout, tail([]byte(r.Stderr)))
		}
		b.gone("bob")
	}
	b.Write("/etc/environment", "")
	for _, user := range []string{"", "+", "+marked", "bob+", "bob+" + secret, "bob/marked", "../bob", "-bob", "b b", "b\tb", "b\nb", "b;id", "$(id)",
		"\x1b[2J", "\xff\xfe", "björn", "1001", strings.Repeat("b", 300), strings.Repeat("b+", 2000)} {
		for _, service := range []string{"login", "su-l", "sshd"} {
			if r := b.Run("pamtester", service, user, "open_session"); r.OK() {
				t.Errorf("%s opens a session for %q", service, user)
			}
		}
	}
	log := b.Journal("sessiond.service")
	if strings.Contains(log, strings.Repeat("b+", 100)) || strings.Contains(log, strings.Repeat("x", 200)) || strings.Contains(log, "\x1b") || strings.Contains(log, "\xff") {
		t.Error("what was typed is in the daemon's log")
	}
	if p := b.probe(t, Ways[0], "bob"); p["marker"] != "marked" {
		t.Errorf("afterwards: %v", p)
	}
	b.gone("bob")
}
