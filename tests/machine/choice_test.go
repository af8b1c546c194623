package machine

import (
	"regexp"
	"strings"
	"testing"
)

// TestChoice chooses at login by what is typed and by what the PAM environment
// holds, well and badly, as people of all kinds of names and numbers.
func TestChoice(t *testing.T) {
	for _, suite := range suites() {
		t.Run(suite, func(t *testing.T) {
			t.Parallel()
			b := installed(t, suite, Options{})
			b.choosing()
			b.Must("pam-auth-update", "--enable", "ninefold-choose")
			t.Run("typed", func(t *testing.T) { b.For(t).typedChoices() })
			t.Run("password", func(t *testing.T) { b.For(t).typedPasswords() })
			t.Run("asked", func(t *testing.T) { b.For(t).askedChoices() })
			t.Run("environment", func(t *testing.T) { b.For(t).badChoices() })
			t.Run("outside", func(t *testing.T) { b.For(t).outsideServices() })
			t.Run("names", func(t *testing.T) { b.For(t).oddNames() })
			t.Run("uids", func(t *testing.T) { b.For(t).uidRanges() })
			t.Run("aliases", func(t *testing.T) { b.For(t).aliased() })
			b.Must("pam-auth-update", "--disable", "ninefold-choose", "ninefold-ask")
			if doctor := b.Run("sessionctl", "doctor"); !doctor.OK() {
				t.Errorf("afterwards: %s", doctor)
			}
		})
	}
}

const whoAndWhere = `echo "$(id -un) $USER $HOME $(cat /etc/ninefold-marker 2>/dev/null) $(loginctl show-session "$XDG_SESSION_ID" --property=Name --value)"`

// typedChoices types NAME+PROFILE where login(1) asks for a name.
func (b *Booted) typedChoices() {
	b.t.Helper()
	ask := regexp.MustCompile(`login: $`)
	for typed, want := range map[string]struct{ marker, said string }{
		"carol+second": {"second", ""},
		"carol+marked": {"marked", ""},
		"carol+none":   {"", ""},
		"carol+nosuch": {"marked", `the profile "nosuch" is not one that you may choose`},
		"carol+loose":  {"", ""}, // by way of a vestibule
	} {
		term, err := b.Terminal(b.ctx, "login")
		b.check(err)
		_, _, err = term.Expect(patience, ask)
		b.check(err)
		b.check(term.Type(typed + "\n"))
		_, _, err = term.Expect(patience, asked)
		b.check(err)
		b.check(term.Type("carol\n"))
		_, _, err = term.Expect(patience, prompt)
		b.check(err)
		out, _, err := term.Do(whoAndWhere)
		b.check(err)
		if got, want := strings.TrimSpace(out), "carol carol /home/carol "+want.marker+" carol"; got != want {
			b.t.Errorf("%s: %q, want %q", typed, got, want)
		}
		if want.said != "" && !strings.Contains(term.Shown(), want.said) {
			b.t.Errorf("%s: not said: %q in:\n%s", typed, want.said, term.Shown())
		}
		b.check(term.Type("exit\n"))
		_, err = term.Wait(patience)
		b.check(err)
		term.Close()
		b.gone("carol")
	}
	// What looks the name up before it asks PAM knows no such user.
	for _, args := range [][]string{{"su", "-l", "carol+second", "-c", "true"}, {"sudo", "-u", "carol+second", "true"}, {"ssh", "-o", "BatchMode=yes", "carol+second@localhost", "true"}} {
		if r := b.Run(args...); r.Code == 0 {
			b.t.Errorf("somebody got in: %s", r)
		}
	}
}

// typedPasswords wants the password of the person, whatever is typed behind
// the name: the line in auth lets nobody in and keeps nobody out.
func (b *Booted) typedPasswords() {
	b.t.Helper()
	cases := []struct {
		name, password string
		in             bool
	}{
		{"carol", "carol", true}, {"carol", "wrong", false},
		{"carol+second", "carol", true}, {"carol+second", "wrong", false}, {"carol+second", "", false}, {"carol+second", "bob", false},
		{"carol+nosuch", "carol", true}, {"carol+nosuch", "wrong", false},
		{"nobody-of-that-name+second", "carol", false}, {"carol+second+second", "carol", false}, {"+second", "carol", false},
	}
	for i, r := range together(len(cases), func(i int) Result {
		return b.Input(b.ctx, strings.NewReader(cases[i].password+"\n"), "pamtester", "sudo", cases[i].name, "authenticate")
	}) {
		c := cases[i]
		if b.sane(r).OK() != c.in {
			b.t.Errorf("%s with %q: %s", c.name, c.password, r)
		}
	}
}

// askedChoices has the prompts of login(1) and sshd ask for a profile.
func (b *Booted) askedChoices() {
	b.t.Helper()
	b.Must("pam-auth-update", "--enable", "ninefold-ask")
	b.Write("/etc/ssh/sshd_config.d/00-ask.conf", "KbdInteractiveAuthentication yes\n")
	b.Must("systemctl", "restart", "ssh") // a reload is not waited for
	b.configure("[login]\ndefault = \"marked\"\nchoose = [\"second\", \"absent\", \"none\"]\nask = true\n")
	question := regexp.MustCompile(`Profile 1 marked \(Enter\), 2 second, 3 none: $`)
	login := []string{"login", "carol"}
	ssh := []string{"ssh", "-tt", "-o", "PreferredAuthentications=keyboard-interactive", "carol@localhost"}
	for _, c := range []struct {
		args    []string
		answers []string // to the question
		marker  string
	}{
		{login, []string{""}, "marked"}, {login, []string{"2"}, "second"}, {login, []string{"none"}, ""},
		{login, []string{"9", "\x1b[31mx"}, "marked"}, {login, []string{"absent", "1"}, "marked"},
		{ssh, []string{"second"}, "second"}, {ssh, []string{""}, "marked"}, {ssh, []string{"0", "4"}, "marked"},
		{[]string{"login", "carol+second"}, nil, "second"},
		{[]string{"ssh", "-tt", "-o", "PreferredAuthentications=password", "carol@localhost"}, nil, "marked"},
		{[]string{"setpriv", "--reuid=nobody", "--clear-groups", "su", "-l", "carol"}, nil, "marked"},
	} {
		term, err := b.Terminal(b.ctx, c.args...)
		b.check(err)
		_, _, err = term.Expect(patience, asked)
		b.check(err)
		b.check(term.Type("carol\n"))
		for _, answer := range c.answers {
			_, _, err = term.Expect(patience, question)
			b.check(err)
			b.check(term.Type(answer + "\n"))
		}
		_, _, err = term.Expect(patience, prompt)
		b.check(err)
		out, _, err := term.Do(whoAndWhere)
		b.check(err)
		if got, want := strings.TrimSpace(out), "carol carol /home/carol "+c.marker+" carol"; got != want {
			b.t.Errorf("%v, %q: %q, want %q", c.args, c.answers, got, want)
		}
		if told := strings.Contains(term.Shown(), "none of them; you get marked"); told != (len(c.answers) == 2 && c.answers[1] != "1") {
			b.t.Errorf("%v, %q: shown:\n%s", c.args, c.answers, term.Shown())
		}
		term.Close()
		b.gone("carol")
	}
	// Who has not given the password learns nothing.
	r := b.sane(b.Input(b.ctx, strings.NewReader("wrong\n2\n"), "pamtester", "login", "carol", "authenticate"))
	if r.OK() || strings.Contains(r.Stdout+r.Stderr, "marked") {
		b.t.Errorf("with a wrong password: %s", r)
	}
	b.Must("rm", "/etc/ssh/sshd_config.d/00-ask.conf")
	b.Must("systemctl", "restart", "ssh") // a reload is not waited for
}

// badChoices has a PAM environment that asks for what there is not, for what
// the person may not have, and for what is no name.
func (b *Booted) badChoices() {
	b.t.Helper()
	b.configure("[login]\ndefault = \"marked\"\nchoose = [\"second\", \"absent\"]\n")
	long := strings.Repeat("Z", 900)
	for choice, want := range map[string]struct{ marker, said string }{
		"second":              {"second", ""},
		"nosuch":              {"marked", `the profile "nosuch" is not one that you may choose`},
		"none":                {"marked", `the profile "none" is not one that you may choose`},
		"absent":              {"", "absent"},
		"../../etc/shadow":    {"marked", "not one that you may choose"},
		"sec\x1b[31mond":      {"marked", "not one that you may choose"},
		long:                  {"marked", "not one that you may choose"},
		"\xff\xfe":            {"marked", "not one that you may choose"},
		"nosuch\nPLANTED=yes": {"marked", "nosuch"},
	} {
		b.choose(choice)
		r := b.Run("su", "-l", "bob", "-c", `echo "$(cat /etc/ninefold-marker 2>/dev/null)"`)
		if !r.OK() || strings.TrimSpace(r.Stdout) != want.marker || !strings.Contains(r.Stderr, want.said) || want.said == "" && r.Stderr != "" {
			b.t.Errorf("%.40q: want %q and %q: %s", choice, want.marker, want.said, r)
		}
		if strings.Contains(r.Stderr, "\x1b") || strings.Contains(r.Stderr, "\xff") {
			b.t.Errorf("%.40q: raw bytes reach the terminal: %q", choice, r.Stderr)
		}
		b.gone("bob")
	}
	// A mebibyte of environment, and half of one, since sshd itself fails at a whole one.
	for lines, args := range map[string][]string{
		"600":  {"ssh", "-o", "BatchMode=yes", "bob@localhost", "cat /etc/ninefold-marker"},
		"1150": {"su", "-l", "bob", "-c", "cat /etc/ninefold-marker"},
	} {
		b.Must("sh", "-c", `for i in $(seq "$0"); do printf 'FILLER_%d=%0900d\n' "$i" 0; done >/run/choice; echo NINEFOLD_PROFILE=second >>/run/choice`, lines)
		if r := b.Run(args...); !r.OK() || strings.TrimSpace(r.Stdout) != "second" {
			b.t.Errorf("with a mebibyte of environment: %s", r)
		}
		b.gone("bob")
	}
	b.choose("")
	if r := b.Run("pamtester", "-E", "NINEFOLD_PROFILE="+strings.Repeat("Z", 100<<10), "su", "bob", "open_session", "close_session"); !r.OK() {
		b.t.Errorf("a choice of 100 KiB: %s", r)
	}
	// What a client of sshd sends is the session's, and no choice.
	b.Write("/etc/ssh/sshd_config.d/accept.conf", "AcceptEnv *\n")
	b.Must("systemctl", "restart", "ssh") // a reload is not waited for
	if r := b.Run("env", "NINEFOLD_PROFILE=second", "ssh", "-o", "BatchMode=yes", "-o", "SendEnv=NINEFOLD_PROFILE", "bob@localhost", "cat /etc/ninefold-marker; echo $NINEFOLD_PROFILE"); r.Stdout != "markedmarked\n" {
		b.t.Errorf("a choice sent by ssh: %s", r)
	}
	b.gone("bob")
	b.Must("rm", "/etc/ssh/sshd_config.d/accept.conf")
	b.Must("systemctl", "restart", "ssh") // a reload is not waited for
	if log := b.Must("journalctl", "--no-pager", "--boot", "--output=cat"); strings.Contains(log, long[:200]) || strings.Contains(log, "\x1b[31m") {
		b.t.Error("what was chosen is in the log as it came")
	}
	if state := b.Must("systemctl", "show", "sessiond", "--property=NRestarts", "--property=ActiveState"); !strings.Contains(state, "NRestarts=0") || !strings.Contains(state, "ActiveState=active") {
		b.t.Errorf("the daemon: %s", state)
	}
}

// outsideServices has a service whose PAM stack lacks our lines open a session.
func (b *Booted) outsideServices() {
	b.t.Helper()
	b.configure("[login]\ndefault = \"marked\"\n")
	b.Must("cp", "/etc/pam.d/sshd", "/etc/pam.d/sshd.before")
	b.Must("sed", "-i", `s|^@include common-session$|session required pam_unix.so\nsession optional pam_systemd.so|`, "/etc/pam.d/sshd")
	term := b.stay("bob")
	if p := b.ask(term, `echo "$(readlink /proc/self/ns/mnt) $XDG_SESSION_ID"`); !strings.HasPrefix(p, b.hostNS()+" ") {
		b.t.Errorf("without our lines: %s", p)
	} else {
		_, id, _ := strings.Cut(p, " ")
		want := "sshd (session " + id + " of bob)"
		for _, args := range [][]string{{"sessionctl", "status"}, {"sessionctl", "doctor"}} {
			b.eventually(strings.Join(args, " ")+" to name it", func() string {
				if r := b.Run(args...); !strings.Contains(r.Stdout, want) {
					return r.String()
				}
				return ""
			})
		}
		if log := b.Journal("sessiond"); !strings.Contains(log, "service=sshd user=bob session="+id+" profile=marked") {
			b.t.Errorf("nothing in the log: %s", log)
		}
	}
	b.Must("mv", "/etc/pam.d/sshd.before", "/etc/pam.d/sshd")
	term.Close()
	b.gone("bob")
	// Services with our lines are not named, nor sessions that are over.
	term = b.stay("bob")
	if r := b.Run("su", "-l", "bob", "-c", "sessionctl status"); !r.OK() || strings.Contains(r.Stdout, "\noutside ") {
		b.t.Errorf("somebody is outside: %s", r)
	}
	term.Close()
	b.gone("bob")
}

// oddNames logs in people whose names useradd takes only when it is told to.
func (b *Booted) oddNames() {
	b.t.Helper()
	b.configure("[login]\ndefault = \"marked\"\nchoose = [\"second\"]\n[login.users]\n\"it's\" = \"second\"\n")
	for _, c := range []struct{ name, marker string }{
		{"a.b-c_d$", "marked"}, {"it's", "second"}, {"plus+", "marked"}, {"UPPER%n", "marked"}, {"bob+second", "marked"},
		{"h#sh", "marked"}, {"j\u00fcrgen", "marked"},
	} {
		b.Must("useradd", "--badname", "--no-user-group", "--create-home", "--home-dir", "/home/odd", "--shell", "/bin/bash", c.name)
		b.Must("install", "-D", "-m", "644", "/root/.ssh/id_ed25519.pub", "/home/odd/.ssh/authorized_keys")
		b.Must("chown", "-R", "--reference=/home/odd", "/home/odd/.ssh")
		for _, args := range [][]string{{"su", "-l", c.name, "-c"}, {"ssh", "-o", "BatchMode=yes", "-l", c.name, "localhost"}} {
			if args[0] == "ssh" && strings.ContainsAny(c.name, "'") {
				continue // ssh(1) itself refuses it
			}
			r := b.Run(append(args, `echo "$(id -un) $(cat /etc/ninefold-marker) $(systemctl --user is-active basic.target)"`)...)
			if got, want := strings.TrimSpace(r.Stdout), c.name+" "+c.marker+" active"; got != want || r.Stderr != "" {
				b.t.Errorf("%s: %s", c.name, r)
			}
		}
		if r := b.Run("sessionctl", "doctor", "--user", c.name); !strings.Contains(r.Stdout, c.marker) {
			b.t.Errorf("doctor --user %s: %s", c.name, r)
		}
		b.gone(c.name)
		b.Must("userdel", "--remove", c.name)
	}
}

// uidRanges are who is a person: login.defs says it, and the configuration
// adds a directory's.
func (b *Booted) uidRanges() {
	b.t.Helper()
	uid := b.Must("id", "-u", "carol")
	b.Must("cp", "-p", "/etc/login.defs", "/etc/login.defs.before")
	b.Must("sed", "-i", "s/^UID_MAX.*/UID_MAX 1001/", "/etc/login.defs")
	b.Must("systemctl", "restart", "sessiond")
	for more, want := range map[string]string{"": "", "uids = [\"" + uid + "-" + uid + "\"]\n": "marked"} {
		b.configure("[login]\ndefault = \"marked\"\n" + more)
		for user, want := range map[string]string{"carol": want, "bob": "marked"} {
			if r := b.Run("su", "-l", user, "-c", "cat /etc/ninefold-marker || true"); strings.TrimSpace(r.Stdout) != want || strings.Contains(r.Stderr, "ninefold:") {
				b.t.Errorf("%s with %q: %s", user, more, r)
			}
			b.gone(user)
		}
	}
	b.Must("mv", "/etc/login.defs.before", "/etc/login.defs")
	b.Must("systemctl", "restart", "sessiond")
}
