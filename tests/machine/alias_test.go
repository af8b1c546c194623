package machine

import (
	"strings"
	"sync"
)

// aliased has ssh know people as NAME+PROFILE, and nobody get more by it than by
// their names.
func (b *Booted) aliased() {
	b.t.Helper()
	const login = "[login]\ndefault = \"marked\"\nchoose = [\"second\", \"loose\", \"none\"]\n"
	b.Must("pam-auth-update", "--enable", "ninefold-alias")
	b.configure(login)
	b.choose("")
	if r := b.Run("getent", "passwd", "carol+second"); r.Code != 2 {
		b.t.Errorf("not asked for, and there: %s", r)
	}
	b.configure(login + "aliases = true\n")
	b.named("carol+second", true)
	b.Must("usermod", "--append", "--groups", "video", "carol")
	b.Write("/etc/security/limits.d/carol.conf", "carol hard nofile 777\n")

	// Newer ones keep away for a while who fails as often as this test.
	b.Must("sh", "-c", "! sshd -T | grep -q ^persourcepenalties || echo 'PerSourcePenalties no' >/etc/ssh/sshd_config.d/00-penalties.conf")
	b.Must("systemctl", "restart", "ssh")
	b.insideAliases()
	b.aliasesLikeThePerson()
	b.aliasesElsewhere()
	b.aliasesGo()

	b.Must("rm", "-f", "/etc/security/limits.d/carol.conf", "/etc/ssh/sshd_config.d/00-penalties.conf")
	b.Must("systemctl", "restart", "ssh")
	b.configure(login)
	b.named("carol+second", false)
	b.Must("pam-auth-update", "--disable", "ninefold-alias")
}

// named waits until the machine knows a name, or does not.
func (b *Booted) named(name string, known bool) {
	b.t.Helper()
	b.eventually("the name "+name, func() string {
		if r := b.Run("getent", "passwd", name); r.OK() != known {
			return r.String()
		}
		return ""
	})
}

// keyed runs a command by ssh with a key, and typed with a password.
func (b *Booted) keyed(name, command string) Result {
	b.t.Helper()
	return b.Run("ssh", "-o", "BatchMode=yes", name+"@localhost", command)
}

func (b *Booted) typed(name, password, command string) Result {
	b.t.Helper()
	return b.Run("sshpass", "-p", password, "ssh", "-o", "NumberOfPasswordPrompts=1", "-o", "PreferredAuthentications=password", name+"@localhost", command)
}

// insideAliases looks at who one is and where, by all that ssh can do.
func (b *Booted) insideAliases() {
	b.t.Helper()
	const who = `echo "$(id -un) $USER $LOGNAME $HOME $(cat /etc/ninefold-marker 2>/dev/null) $(loginctl show-session "$XDG_SESSION_ID" --property=Name --value) $(ulimit -Hn) $(id -Gn)"`
	for profile, marker := range map[string]string{"second": "second", "none": "", "loose": ""} {
		for method, r := range map[string]Result{"key": b.keyed("carol+"+profile, who), "password": b.typed("carol+"+profile, "carol", who)} {
			if want := "carol carol carol /home/carol " + marker + " carol 777 carol video"; strings.TrimSpace(r.Stdout) != want || r.Stderr != "" {
				b.t.Errorf("%s, %s: want %q: %s", profile, method, want, r)
			}
		}
		b.gone("carol")
	}
	b.Write("/run/batch", "get /etc/ninefold-marker /run/by-sftp\n")
	if r := b.Run("sftp", "-b", "/run/batch", "carol+second@localhost"); !r.OK() || b.Must("cat", "/run/by-sftp") != "second" {
		b.t.Errorf("sftp: %s", r)
	}
	if r := b.Run("scp", "-O", "carol+second@localhost:/etc/ninefold-marker", "/run/by-scp"); !r.OK() || b.Must("cat", "/run/by-scp") != "second" {
		b.t.Errorf("scp: %s", r)
	}
	if r := b.Run("sh", "-c", "ssh -W localhost:22 carol+second@localhost </dev/null | head -c 4"); r.Stdout != "SSH-" {
		b.t.Errorf("a port: %s", r)
	}
	b.gone("carol")
	// Two runtimes at a time, and sudo by the rules about the person.
	first := b.stay("bob")
	other, err := b.LogIn(b.ctx, "bob", "ssh", "-tt", "bob+second@localhost")
	b.check(err)
	defer other.Close()
	if one, two := b.ask(first, "cat /etc/ninefold-marker; "+busID), b.ask(other, "cat /etc/ninefold-marker; "+busID); !strings.HasPrefix(one, "marked") || !strings.HasPrefix(two, "second") || one[6:] == two[6:] {
		b.t.Errorf("two logins of one person: %q and %q", one, two)
	}
	first.Close()
	other.Close()
	b.gone("bob")
	if r := b.keyed("alice+second", "sudo -n id -u && sudo -n -u bob id -un"); strings.Join(strings.Fields(r.Stdout), " ") != "0 bob" {
		b.t.Errorf("sudo inside: %s", r)
	}
	b.gone("alice")
}

// aliasesLikeThePerson has all that keeps carol out keep out carol+second.
func (b *Booted) aliasesLikeThePerson() {
	b.t.Helper()
	b.Must("cp", "/etc/pam.d/sshd", "/etc/pam.d/sshd.before")
	b.Must("cp", "/etc/security/access.conf", "/etc/security/access.conf.before")
	for _, c := range []struct {
		what, do, undo string
		key            bool // which a locked password does not stop
	}{
		{"expired", "chage -E 0 carol", "chage -E -1 carol", false},
		{"locked", "passwd -l carol", "passwd -u carol", true},
		{"the password's end", "chage -d 0 carol", "chage -d 20000 carol", false},
		{"pam_access", "echo '-:carol:ALL' >>/etc/security/access.conf; sed -i '1i account required pam_access.so' /etc/pam.d/sshd",
			"cp /etc/security/access.conf.before /etc/security/access.conf; cp /etc/pam.d/sshd.before /etc/pam.d/sshd", false},
		{"pam_listfile", "echo carol >/run/denied; sed -i '1i auth required pam_listfile.so item=user sense=deny file=/run/denied' /etc/pam.d/sshd", "cp /etc/pam.d/sshd.before /etc/pam.d/sshd", true},
	} {
		b.Must("sh", "-c", c.do)
		var byPassword, byKey Result
		both(func() { byPassword = b.typed("carol+second", "carol", "true") }, func() { byKey = b.keyed("carol+second", "true") })
		if byPassword.OK() || byKey.OK() != c.key {
			b.t.Errorf("%s: by a password: %s\nby a key: %s", c.what, byPassword, byKey)
		}
		b.Must("sh", "-c", c.undo)
		b.named("carol+second", true) // the stack is looked at again
	}
	var tries []func()
	for name, password := range map[string]string{
		"carol+second": "wrong", "carol+none": "bob", "carol+nosuch": "carol", "carol+second+second": "carol", "root+second": "root", "+second": "carol", "daemon+none": "x", "carol+": "carol",
	} {
		tries = append(tries, func() {
			if r := b.typed(name, password, "true"); r.OK() {
				b.t.Errorf("somebody got in: %s", r)
			}
		})
	}
	both(tries...)
	b.gone("carol")
}

// both runs all at a time, since each failure takes the two seconds of PAM.
func both(all ...func()) {
	var wg sync.WaitGroup
	for _, f := range all {
		wg.Go(f)
	}
	wg.Wait()
}

// aliasesElsewhere has root, who may become anybody, try to become an alias.
func (b *Booted) aliasesElsewhere() {
	b.t.Helper()
	b.Must("pam-auth-update", "--disable", "ninefold-choose") // which has other services ask for the person
	for _, args := range [][]string{
		{"su", "-l", "carol+second", "-c", "true"}, {"su", "carol+second", "-c", "true"}, {"sudo", "-u", "carol+second", "true"}, {"sudo", "-i", "-u", "carol+second", "true"},
		{"pamtester", "cron", "carol+second", "acct_mgmt"}, {"pamtester", "login", "carol+second", "acct_mgmt"},
		{"sh", "-c", "echo carol | pamtester polkit-1 carol+second authenticate"}, {"sh", "-c", "echo carol | pamtester lightdm carol+second authenticate"},
	} {
		if r := b.Run(args...); r.OK() {
			b.t.Errorf("somebody became an alias: %s", r)
		}
	}
	b.Must("pam-auth-update", "--enable", "ninefold-choose")
	// The person is not met by the name of an alias.
	uid := b.Must("id", "-u", "carol")
	if got := b.Must("id", "-un", uid) + " " + b.Must("stat", "-c", "%U", "/home/carol"); got != "carol carol" {
		b.t.Errorf("uid %s is %s", uid, got)
	}
	if all := b.Must("getent", "passwd"); strings.Contains(all, "+second") {
		b.t.Errorf("aliases are listed:\n%s", all)
	}
	// Without the module nothing makes them good.
	b.Must("sh", "-c", "cd /usr/lib/*/security && mv pam_ninefold.so moved")
	if r := b.keyed("carol+second", "true"); r.OK() {
		b.t.Errorf("without the module: %s", r)
	}
	if r := b.keyed("carol", "true"); !r.OK() {
		b.t.Errorf("without the module nobody gets in: %s", r)
	}
	b.Must("sh", "-c", "cd /usr/lib/*/security && mv moved pam_ninefold.so")
	b.gone("carol")
}

// aliasesGo takes away what they rest on.
func (b *Booted) aliasesGo() {
	b.t.Helper()
	const inTheWay = "/etc/ssh/sshd_config.d/zz.conf"
	for _, line := range []string{"AllowUsers carol bob root", "Match User carol\n\tPasswordAuthentication no"} {
		b.Write(inTheWay, line+"\n")
		b.named("carol+second", false)
		if doctor := b.Run("sessionctl", "doctor"); !doctor.OK() || !strings.Contains(doctor.Stdout, inTheWay+":1 tells people apart by the name that they type") {
			b.t.Errorf("%s: %s", line, doctor)
		}
		b.Must("rm", inTheWay)
		b.named("carol+second", true)
	}
	if doctor := b.Run("sessionctl", "doctor"); !doctor.OK() || !strings.Contains(doctor.Stdout, "ssh NAME+PROFILE") {
		b.t.Errorf("%s", doctor)
	}
	// An account of that name wins, and goes on working.
	// (useradd would not make it: to it the name is taken.)
	b.Must("sh", "-c", `install -d -o 1888 /home/odd && echo "carol+second:x:1888:100::/home/odd:/bin/bash" >>/etc/passwd && echo "carol+second:$(perl -e 'print crypt("secret", "\$6\$salt")'):20000::::::" >>/etc/shadow`)
	b.eventually("the record of a name that is an account's to go", func() string {
		return b.Run("sh", "-c", "ls /run/userdb/carol+second.user 2>/dev/null").Stdout
	})
	if r := b.typed("carol+second", "secret", `id -un; cat /etc/ninefold-marker`); strings.Join(strings.Fields(r.Stdout), " ") != "carol+second marked" {
		b.t.Errorf("an account called like an alias: %s", r)
	}
	if r := b.keyed("carol+second", "true"); r.OK() {
		b.t.Errorf("carol's key opens the account of somebody else: %s", r)
	}
	b.gone("carol+second")
	b.Must("userdel", "--remove", "carol+second")
	b.named("carol+second", true)
	// So do records with another uid than the person's, which only a daemon that hangs leaves.
	b.Must("systemctl", "kill", "-s", "STOP", "sessiond")
	b.Must("usermod", "--uid", "1777", "carol")
	if r := b.keyed("carol+second", "true"); r.OK() {
		b.t.Errorf("by a record of another uid: %s", r)
	}
	b.Must("usermod", "--uid", strings.TrimSpace(b.Must("stat", "-c", "%g", "/home/carol")), "carol")
	b.Must("systemctl", "kill", "-s", "CONT", "sessiond")
	b.named("carol+second", true)
	// Without the daemon nobody looks after them.
	b.Must("systemctl", "stop", "sessiond-door.socket", "sessiond-host.socket", "sessiond.service")
	b.named("carol+second", false)
	b.Must("systemctl", "start", "sessiond-door.socket", "sessiond-host.socket", "sessiond.service")
	b.named("carol+second", true)
}
