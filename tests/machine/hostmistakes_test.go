package machine

import (
	"regexp"
	"strings"
	"testing"
)

// hostMistakes tries what others of its kind have got wrong.
func (b *Booted) hostMistakes(t *testing.T) {
	b.bring("./stranger")
	// What is no request ends, and keeps nobody from asking.
	if r := b.SSH("alice", "stranger slow & stranger garbage && sessionctl host true && wait $!"); !r.OK() || r.Stdout != "" {
		t.Errorf("what is no request: %s", r)
	}

	// A scope may be called like somebody's session; it is still its user's.
	term := b.login("alice")
	id, _, err := term.Do("echo id=$XDG_SESSION_ID.")
	b.check(err)
	session := regexp.MustCompile(`id=(\w+)\.`).FindStringSubmatch(id)
	if session == nil {
		t.Fatalf("alice's session: %q", id)
	}
	scope := "systemd-run --user --scope --quiet --unit=session-" + session[1] + " sessionctl host "
	if r := b.SSH("carol", scope+"true"); r.Code != 124 || !strings.Contains(r.Stderr, "none of the") {
		t.Errorf("carol, in a scope called as alice's session: %s", r)
	}
	if r := b.SSH("alice", scope+"--user alice id -un"); strings.TrimSpace(r.Stdout) != "alice" {
		t.Errorf("alice, in a scope of that name: %s", r)
	}

	// What a command types, it types at a terminal of its own (CVE-2017-5226).
	if _, _, err := term.Do("sessionctl host stranger type 'touch /home/alice/stolen'; true"); err != nil {
		t.Fatalf("%v; shown:\n%s", err, term.Shown())
	}
	if _, _, err := term.Do("true"); err != nil {
		t.Fatalf("%v; shown:\n%s", err, term.Shown())
	}
	if b.Run("test", "-e", "/home/alice/stolen").OK() {
		t.Error("a command on the host typed into the session's shell")
	}
	term.Close()

	// A directory may have any name; systemd reads its own words in some.
	for _, name := range []string{`a\nb`, `%n`, `-x`, `!c d`} {
		r := b.SSH("alice", `d=$(printf -- '`+strings.ReplaceAll(name, "%", "%%")+`x'); d=~/dirs/${d%x}; mkdir -p "$d"; cd "$d"; test "$(sessionctl host pwd)" = "$d"`)
		if !r.OK() {
			t.Errorf("a directory called %q: %s", name, r)
		}
	}

	// What a command leaves behind goes with its unit.
	if r := b.onHost(`sh -c 'sleep 9753 & setsid -f sleep 9754; exit 3'`); r.Code != 3 {
		t.Error(r)
	}
	for _, left := range []string{"sleep 9753", "sleep 9754"} {
		b.eventually("what a command left to end", func() string { return b.wanted(left, false) })
	}
}

// hostBusGone stops the bus while a command runs: the command ends as it would, the
// next one is refused with a word, and when the bus is back both callers know.
func (b *Booted) hostBusGone(t *testing.T) {
	waits, asks := b.login("alice"), b.login("alice")
	b.check(waits.Type("sessionctl host sh -c 'sleep 7531; exit 7'; echo code=$?\n"))
	b.eventually("the command to run", func() string { return b.wanted("sleep 7531", true) })
	b.Must("systemctl", "stop", "dbus.socket", "dbus.service")
	b.check(asks.Type("sessionctl host true; echo code=$?\n"))
	b.shows(asks, `sessionctl: .*bus(.|\n)*code=[1-9]\d*\n`)
	b.Must("pkill", "-xf", "sleep 7531")
	b.Must("systemctl", "start", "dbus.socket", "dbus.service")
	b.shows(waits, `code=7\n`)
	b.check(asks.Type("sessionctl host --user alice id -un; echo code=$?\n"))
	b.shows(asks, `alice\ncode=0\n`)
	waits.Close()
	asks.Close()
}
