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
			t.Parallel()
			b := installed(t, suite, Options{})
			b.Write("/etc/ninefold/host.policy", hostPolicy)
			b.reloaded()
			t.Run("run", func(t *testing.T) { b.For(t).hostRuns(t) })
			t.Run("streams", func(t *testing.T) { b.For(t).hostStreams(t) })
			t.Run("signals", func(t *testing.T) { b.For(t).hostSignals(t) })
			t.Run("terminal", func(t *testing.T) { b.For(t).hostTerminal(t) })
			t.Run("place", func(t *testing.T) { b.For(t).hostPlace(t) })
			t.Run("bad-input", func(t *testing.T) { b.For(t).hostBadInput(t) })
			t.Run("caller-gone", func(t *testing.T) { b.For(t).hostCallerGone(t) })
			t.Run("restart", func(t *testing.T) { b.For(t).hostRestart(t) })
			t.Run("ask", func(t *testing.T) { b.For(t).hostAsks(t) })
			t.Run("conveniences", func(t *testing.T) { b.For(t).hostConveniences(t) })
			t.Run("records", func(t *testing.T) { b.For(t).hostRecords(t) })
			t.Run("mistakes", func(t *testing.T) { b.For(t).hostMistakes(t) })
			t.Run("many", func(t *testing.T) { b.For(t).hostMany(t) })
			t.Run("hostile", func(t *testing.T) { b.For(t).hostHostile(t) })
			t.Run("in-session", func(t *testing.T) { b.For(t).hostInSession(t) })
			t.Run("machined", func(t *testing.T) { b.For(t).machinedKnows(t) })
			t.Run("without", func(t *testing.T) { b.For(t).hostWithout(t) })
			t.Run("late", func(t *testing.T) { b.For(t).hostLate(t) })
			// The last one: logind comes back late after it.
			t.Run("bus-gone", func(t *testing.T) { b.For(t).hostBusGone(t) })
			b.For(t).hostClean(t)
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
}

// hostStreams: pipes are the caller's own, and nothing is expanded on the way.
func (b *Booted) hostStreams(t *testing.T) {
	check := func(command, want string) {
		t.Helper()
		if r := b.SSH("alice", command); strings.TrimSpace(r.Stdout) != want {
			t.Errorf("%s: want %q: %s", command, want, r)
		}
	}
	check("head -c 50000000 /dev/zero | sessionctl host cat | wc -c", "50000000")
	check("seq 100000 | sessionctl host sort -n | tail -1", "100000")
	check("echo in | sessionctl host sh -c 'cat; echo err >&2' 2>/dev/null", "in")
	check("echo in | sessionctl host sh -c 'cat; echo err >&2' 2>&1 >/dev/null", "err")
	check("sessionctl host cat <&- | wc -c", "0")
	check(`sessionctl host printf '<%s>' '$HOME' '${PATH}' '%n' '%%' '*' '' 'a b' '\\' '"' ';reboot' --x`,
		`<$HOME><${PATH}><%n><%%><*><><a b><\\><"><;reboot><--x>`)
	check("sessionctl host printf '<%s>' \"$(printf 'a\\nb\\tc')\"", "<a\nb\tc>")
	check("sessionctl host -- printf '%s' --user", "--user")
	if r := b.onHost("apt-get -s install ninefold"); !r.OK() || !strings.Contains(r.Stdout, "ninefold is already the newest version") {
		t.Error(r)
	}
	// The environment is the host's, whatever the caller says.
	r := b.SSH("alice", "LD_PRELOAD=/tmp/x.so BASH_ENV=/tmp/e PATH=/tmp:$PATH LANG=../../tmp/x LC_ALL=C.UTF-8 TERM=vt220 PERL5OPT=-x sessionctl host env")
	for _, want := range []string{"HOME=/root", "USER=root", "LC_ALL=C.UTF-8", "TERM=vt220", "NINEFOLD_CALLER=alice", "PATH=/usr/local/sbin:"} {
		if !strings.Contains("\n"+r.Stdout, "\n"+want) {
			t.Errorf("lacks %s: %s", want, r)
		}
	}
	for _, not := range []string{"LD_PRELOAD", "BASH_ENV", "/tmp", "PERL5OPT", "INVOCATION_ID", "JOURNAL_STREAM", "SYSTEMD_EXEC_PID", "MEMORY_PRESSURE", "NINEFOLD_PROFILE"} {
		if strings.Contains(r.Stdout, not) {
			t.Errorf("has %s: %s", not, r)
		}
	}
	// No descriptor but its three (CVE-2024-21626).
	check("sessionctl host sh -c 'ls /proc/$$/fd' </dev/null | tr '\\n' ' '", "0 1 2")
}

// hostSignals sends each signal to a real program.
func (b *Booted) hostSignals(t *testing.T) {
	for name, number := range map[string]int{"HUP": 1, "INT": 2, "QUIT": 3, "USR1": 10, "USR2": 12, "TERM": 15} {
		// A shell's background jobs ignore SIGINT and SIGQUIT, so env puts them back.
		r := b.SSH("alice", "env --default-signal=INT,QUIT sessionctl host sleep 600 & p=$!; until pgrep -xf 'sleep 600' >/dev/null; do sleep 0.05; done; kill -"+name+" $p; wait $p")
		if r.Code != 128+number {
			t.Errorf("SIG%s: %s", name, r)
		}
	}
	r := b.SSH("alice", `said() { until grep -q $1 ~/said; do sleep 0.05; done; }; : >~/said
		sessionctl host bash -c 'trap "echo got" USR1; echo ready; while :; do sleep 0.1; done' >~/said & p=$!; said ready; kill -USR1 $p; said got; kill $p; wait $p; c=$?; cat ~/said; exit $c`)
	if r.Code != 143 || r.Stdout != "ready\ngot\n" {
		t.Errorf("a trap: %s", r)
	}
}

func (b *Booted) hostTerminal(t *testing.T) {
	term := b.login("alice")
	do := func(command, want string) {
		t.Helper()
		out, _, err := term.Do(command)
		if err != nil {
			t.Fatalf("%v; shown:\n%s", err, term.Shown())
		}
		if !strings.Contains(out, want) {
			t.Errorf("%s: want %q, got\n%s", command, want, out)
		}
	}
	do("stty rows 33 cols 77; sessionctl host stty size", "33 77")
	do("sessionctl host tty", "/dev/pts/")
	do("sessionctl host sh -c 'test -t 0 && test -t 1 && test -t 2 && echo all'", "all")
	do("sessionctl host sh -c 'test -t 1 || echo apart >&2' 2>&1 | cat", "apart")
	do("sessionctl host sh -c 'test -t 2 && echo yes || echo no' 2>/dev/null", "no")
	do("sessionctl host sh -c 'exit 42'; echo code=$?", "code=42")
	// The terminal is the command's controlling one, and whose it is.
	do("sessionctl host sh -c 'echo to-tty >/dev/tty'", "to-tty")
	// Ctrl-C reaches what runs there, and the prompt comes back as it was.
	b.check(term.Type("sessionctl host sleep 600; echo code=$?\n"))
	b.eventually("the command to run", func() string { return b.wanted("sleep 600", true) })
	b.check(term.Type("\x03"))
	b.shows(term, `code=130\n.*\$ $`)
	// Ctrl-Z makes it a stopped job of the shell here, and fg goes on.
	b.check(term.Type("sessionctl host sh -c 'until [ -e /run/wake ]; do sleep 0.21; done; echo woken'\n"))
	b.eventually("the command to run", func() string { return b.wanted("sleep 0.21", true) })
	b.check(term.Type("\x1a"))
	b.shows(term, "Stopped")
	b.Write("/run/wake", "")
	do("fg", "woken")
	// A shell on the host.
	b.check(term.Type("sessionctl host\n"))
	b.shows(term, "root@machine:~# $")
	do("readlink /proc/self/ns/mnt", b.hostNS())
	b.check(term.Type("exit\n"))
	b.shows(term, `alice@machine:~\$ $`)
	do("id -un", "alice")
	// An editor draws, and writes on the host what is typed.
	b.check(term.Type("TERM=vt100 sessionctl host vi /root/typed\n"))
	b.shows(term, `typed".*New`)
	// Keys come in their order; what is shown says that the escape was one alone.
	b.check(term.Type("ihello from alice"))
	b.shows(term, "hello from alice")
	b.check(term.Type("\x1b:wq\r"))
	b.eventually("the editor to write", func() string {
		r := b.Run("cat", "/root/typed")
		if r.Stdout == "hello from alice\n" {
			return ""
		}
		return r.String()
	})
	b.shows(term, `alice@machine:~\$ $`)
	do("stty -a | grep -c ' echo '", "1")
	// The terminal disappears.
	b.check(term.Type("sessionctl host sleep 6543\n"))
	b.eventually("the command to run", func() string { return b.wanted("sleep 6543", true) })
	term.Close()
	b.eventually("the command to end with its terminal", func() string { return b.wanted("sleep 6543", false) })
}

// wanted says what is wrong unless a command runs, or does not.
func (b *Booted) wanted(command string, runs bool) string {
	b.t.Helper()
	r := b.Run("pgrep", "-xf", command)
	if r.OK() == runs {
		return ""
	}
	return "pgrep: " + r.String()
}

// hostPlace: the directory is the caller's where that is the same place.
func (b *Booted) hostPlace(t *testing.T) {
	for _, c := range []struct{ dir, user, want, notice string }{
		{"/home/alice", "root", "/home/alice", ""},
		{"/home/alice", "alice", "/home/alice", ""},
		{"/run", "carol", "/run", ""},
		{"/tmp", "root", "/root", "/tmp is not the same place"},
		{"/etc", "root", "/root", "/etc is not the same place"},
	} {
		r := b.SSH("alice", "cd "+c.dir+" && sessionctl host --user "+c.user+" pwd")
		if strings.TrimSpace(r.Stdout) != c.want || !strings.Contains(r.Stderr, c.notice) || c.notice == "" && r.Stderr != "" {
			t.Errorf("%+v: %s", c, r)
		}
	}
	r := b.SSH("alice", "mkdir -p ~/gone && cd ~/gone && rmdir ~/gone && sessionctl host pwd")
	if strings.TrimSpace(r.Stdout) != "/root" {
		t.Errorf("a directory that is gone: %s", r)
	}
}

func (b *Booted) hostBadInput(t *testing.T) {
	b.Write("/root/plain", "echo hello\n")
	b.Must("chmod", "755", "/root/plain", "/root")
	b.Must("cp", "/usr/bin/true", "/usr/local/bin/closed")
	b.Must("chmod", "700", "/usr/local/bin/closed")
	b.Must("install", "-o", "alice", "-m", "755", "/usr/bin/true", "/usr/local/bin/planted")
	b.Must("sh", "-c", "cp /usr/bin/true /home/alice/own; chown alice /home/alice/own; ln -sf /home/alice/own /usr/local/bin/leads-out")
	for _, c := range []struct {
		command string
		code    int
		says    string
	}{
		{"/root/plain", 126, "neither a program nor a script"},
		{"--user alice closed", 126, "closed to that user"},
		{"planted", 124, "not root's alone"},
		{"leads-out", 124, "not root's alone"},
		{"/home/alice/own", 124, "not root's alone"},
		{"./own", 127, "absolute path"},
		{"--user nobody-there true", 2, "no user"},
		{"--bad-option true", 2, "unknown option"},
		{"--user", 2, "needs a value"},
		{`sh -c "$(printf '\377')"`, 2, "not UTF-8"},
		{"true < /etc", 2, "is a directory"},
		{"true $(head -c 130000 /dev/zero | tr '\\0' x)", 0, ""},
		{"true $(head -c 1900000 /dev/zero | tr '\\0' 'x' | fold -w 100000 | tr '\\n' ' ')", 0, ""},
	} {
		r := b.SSH("alice", "sessionctl host "+c.command)
		if r.Code != c.code || !strings.Contains(r.Stderr, c.says) {
			t.Errorf("%.100s: want %d and %q: code %d, %.300s", c.command, c.code, c.says, r.Code, r.Stderr)
		}
	}
	// A policy that does not parse: the last good one is in force.
	b.Write("/etc/ninefold/host.policy", "ninefold 1\nallow everybody\n")
	b.reloaded()
	if r := b.onHost("true"); r.Code != 0 {
		t.Errorf("with a policy that does not parse: %s", r)
	}
	if out := b.Must("sessionctl", "status"); !strings.Contains(out, "host.policy:2") {
		t.Errorf("it is not told:\n%s", out)
	}
	b.Write("/etc/ninefold/host.policy", hostPolicy)
	b.reloaded()
}

func (b *Booted) hostCallerGone(t *testing.T) {
	b.SSH("alice", "sessionctl host sleep 7654 & until pgrep -xf 'sleep 7654' >/dev/null; do sleep 0.05; done; kill -KILL $!")
	b.eventually("the command to end with its caller", func() string { return b.wanted("sleep 7654", false) })
	r := b.onHost("--detach sleep 8765")
	unit := strings.TrimSpace(r.Stdout)
	if !r.OK() || !strings.HasPrefix(unit, "ninefold-host-1000-") {
		t.Fatal(r)
	}
	b.eventually("the detached command to run", func() string { return b.wanted("sleep 8765", true) })
	if out := b.Run("systemctl", "status", "--no-pager", unit).Stdout; !strings.Contains(out, "/usr/bin/sleep 8765, for alice, session") || !strings.Contains(out, "profile marked") {
		t.Errorf("systemctl says:\n%s", out)
	}
	b.Must("systemctl", "stop", unit)
}

// hostRestart: the command lives on, and its caller is told how it ended.
func (b *Booted) hostRestart(t *testing.T) {
	for _, how := range []string{"restart", "kill -s KILL"} {
		for _, code := range []string{"0", "9"} {
			r := b.SSH("alice", "rm -f ~/restarted; sessionctl host sh -c 'until [ -e /home/alice/restarted ]; do sleep 0.22; done; echo lived; exit "+code+"' & p=$!; "+
				"until pgrep -xf 'sleep 0.22' >/dev/null; do sleep 0.05; done; sessionctl host systemctl "+how+" sessiond; touch ~/restarted; wait $p; echo code=$?")
			if r.Stdout != "lived\ncode="+code+"\n" {
				t.Errorf("%s, %s: %s", how, code, r)
			}
		}
		b.eventually("the daemon to come back", func() string {
			return strings.TrimPrefix(b.Run("systemctl", "is-active", "sessiond.service").Stdout, "active\n")
		})
	}
	r := b.SSH("alice", "sessionctl host sleep 600 & p=$!; until pgrep -xf 'sleep 600' >/dev/null; do sleep 0.05; done; sudo systemctl restart sessiond; kill -TERM $p; wait $p; echo code=$?")
	if !strings.HasSuffix(r.Stdout, "code=143\n") {
		t.Errorf("a signal after the restart: %s", r)
	}
	b.Must("systemctl", "start", "sessiond.service")
}

func (b *Booted) hostAsks(t *testing.T) {
	if r := b.SSH("bob", "sessionctl host id -un"); r.Code != 124 || !strings.Contains(r.Stderr, "nobody is there to ask") {
		t.Errorf("without an agent: %s", r)
	}
	if r := b.SSH("bob", "sessionctl host --no-ask id -un"); r.Code != 124 {
		t.Errorf("quietly: %s", r)
	}
	const rule = `polkit.addRule(function(a, s) { if (a.id == "org.ninefold.host.run" && s.user == "bob" && a.lookup("command_line") == "/usr/bin/id -un") return polkit.Result.YES; });`
	b.Write("/etc/polkit-1/rules.d/10-host.rules", rule)
	b.eventually("polkit to read its rule", func() string {
		if r := b.SSH("bob", "sessionctl host id -un"); r.Code != 0 || r.Stdout != "root\n" {
			return r.String()
		}
		return ""
	})
	if r := b.SSH("bob", "sessionctl host id -u"); r.Code != 124 {
		t.Errorf("another command was authorised: %s", r)
	}
	// What was answered holds in that session, for those words.
	r := b.SSH("bob", `sessionctl host id -un; sessionctl host id -un; sessionctl host id -gn; echo code=$?`)
	if r.Stdout != "root\nroot\ncode=124\n" {
		t.Error(r)
	}
	if log := b.Must("sessionctl", "logs", "--host"); !strings.Contains(log, "authorised before: /usr/bin/id -un, for bob") {
		t.Errorf("an answer is not remembered:\n%s", log)
	}
	b.Must("rm", "/etc/polkit-1/rules.d/10-host.rules")
	b.Must("systemctl", "mask", "--now", "polkit.service")
	if r := b.SSH("bob", "sessionctl host id -un"); r.Code != 124 || !strings.Contains(r.Stderr, "polkit") {
		t.Errorf("without polkit: %s", r)
	}
	b.Must("systemctl", "unmask", "polkit.service")
}

func (b *Booted) hostConveniences(t *testing.T) {
	if r := b.onHost("--explain apt-get -s upgrade"); !r.OK() || !strings.Contains(r.Stdout, "/etc/ninefold/host.policy:3: allow user alice") || !strings.Contains(r.Stdout, "ExecStart=/usr/bin/apt-get -s upgrade") {
		t.Error(r)
	}
	if r := b.SSH("carol", "sessionctl host --explain true"); !r.OK() || !strings.Contains(r.Stdout, "deny") {
		t.Error(r)
	}
	r := b.SSH("alice", "sessionctl host --shim machinectl && ~/.local/bin/machinectl --version | head -1; rm ~/.local/bin/machinectl")
	if !r.OK() || !strings.Contains(r.Stdout, "systemd 25") {
		t.Errorf("a shim: %s", r)
	}
	b.Write("/usr/local/bin/xdg-open", "#!/bin/sh\necho opened \"$1\" as $(id -un) in $(readlink /proc/self/ns/mnt)\n")
	b.Must("chmod", "755", "/usr/local/bin/xdg-open")
	if r := b.SSH("alice", "host-open https://example.org/?a=b; touch ~/f; host-open ~/f; host-open /etc/ninefold-marker"); !strings.Contains(r.Stdout, "opened https://example.org/?a=b as alice in "+b.hostNS()) ||
		!strings.Contains(r.Stdout, "opened /home/alice/f as alice") || strings.Contains(r.Stdout, "marker") || r.Code != 127 {
		t.Error(r)
	}
	// In another session of one's own, and in nobody else's.
	term := b.login("alice")
	other := b.login("bob")
	id, bobs := b.viewOf("alice"), b.viewOf("bob")
	if r := b.RunAs("alice", "sessionctl", "host", "--in", id, "--", "cat", "/etc/ninefold-marker"); !r.OK() || r.Stdout != "marked" {
		t.Error(r)
	}
	if r := b.RunAs("alice", "sessionctl", "host", "--in", id, "--", "id", "-un"); r.Stdout != "alice\n" {
		t.Error(r)
	}
	if r := b.RunAs("alice", "sessionctl", "host", "--in", bobs, "--", "true"); r.Code != 127 {
		t.Errorf("in another's view: %s", r)
	}
	term.Close()
	other.Close()
}

// hostRecords looks at what the journal has of a decision.
func (b *Booted) hostRecords(t *testing.T) {
	b.Write("/etc/ninefold/host.policy.d/10.policy", "ninefold 1\nallow user alice profile * as root redact 2 run /usr/bin/printf x *\n")
	b.reloaded()
	b.onHost("printf x secret-word")
	r := b.Run("journalctl", "--output=json", "--lines=1", "SYSLOG_IDENTIFIER=ninefold-host")
	for _, want := range []string{`"NINEFOLD_USER":"alice"`, `"NINEFOLD_PROFILE":"marked"`, `"NINEFOLD_RULE":"/etc/ninefold/host.policy.d/10.policy:2"`,
		`"NINEFOLD_PROGRAM":"/usr/bin/printf"`, `"NINEFOLD_TARGET":"root"`, `"NINEFOLD_RESULT":"allowed"`, `"NINEFOLD_SESSION":"`} {
		if !strings.Contains(r.Stdout, want) {
			t.Errorf("lacks %s: %s", want, r)
		}
	}
	if out := b.Run("sh", "-c", "journalctl --output=json | grep -c secret-wor[d]"); strings.TrimSpace(out.Stdout) != "0" {
		t.Errorf("what the rule hides is in the journal %s times", out.Stdout)
	}
	b.Must("rm", "/etc/ninefold/host.policy.d/10.policy")
	b.reloaded()
}

// hostMany: none is lost, and a flood of one session leaves another its turn.
func (b *Booted) hostMany(t *testing.T) {
	const n = 500
	r := b.SSH("alice", `for i in $(seq 500); do sessionctl host sh -c "[ \$PWD = /home/alice ] && exit $((i % 100)); exit 200" & p="$p $!"; done; i=0; for x in $p; do i=$((i+1)); wait $x; [ $? = $((i % 100)) ] || echo wrong $i; done; echo done`)
	if r.Stdout != "done\n" || r.Stderr != "" { // each in alice's directory
		t.Errorf("of %d commands at once: %s", n, r)
	}
}

// hostWithout has a session that is not to have a way to the host look for one.
func (b *Booted) hostWithout(t *testing.T) {
	b.gone("carol")
	b.Write(profileDir+"shut.toml", "version = 1\nname = \"shut\"\n[isolation]\nbroker = false\n")
	b.configure("[login]\ndefault = \"marked\"\n[login.users]\ncarol = \"shut\"\n")
	r := b.SSH("carol", "echo $NINEFOLD_PROFILE; find / -xdev -name host -type s 2>/dev/null; ls -A /run/ninefold/broker /run/ninefold/machine/run/ninefold/broker 2>/dev/null | grep -x host; sessionctl host true")
	if r.Code != 9 || r.Stdout != "shut\n" || !strings.Contains(r.Stderr, "no way to the host") {
		t.Error(r)
	}
	b.gone("carol")
	b.configure("[login]\ndefault = \"marked\"\n")
}

// hostClean looks that nothing is left of all that.
func (b *Booted) hostClean(t *testing.T) {
	b.eventually("no unit and no cgroup to be left", func() string {
		return b.Must("sh", "-c", "systemctl list-units --all --plain --no-legend 'ninefold-host-*.service'; ls /run/systemd/transient | grep ninefold-host- ; ls -d /sys/fs/cgroup/ninefold.slice/ninefold-host.slice/*/ 2>/dev/null; true")
	})
	b.eventually("no terminal to be held", func() string {
		return strings.TrimSpace(b.Must("sh", "-c", "ls -l /proc/$(systemctl show -P MainPID sessiond)/fd | grep -E 'pts|ptmx' || true"))
	})
}
