package machine

import (
	"regexp"
	"strings"
	"testing"
)

// guestLocks has a guest at the console lock its terminal, and be asked by a program
// that asks PAM (su, who cannot become anybody there).
func (b *Booted) guestLocks(t *testing.T) {
	term, name := b.guestIn(t)
	defer term.Close()
	say := func(line string, until *regexp.Regexp) string {
		t.Helper()
		b.check(term.Type(line + "\n"))
		_, said, err := term.Expect(patience, until)
		if err != nil {
			t.Fatalf("%v; shown:\n%s", err, term.Shown())
		}
		return said[0]
	}
	passed, refused := regexp.MustCompile(`(?s)cannot set (groups|user).*[$#] $`), regexp.MustCompile(`(?s)Authentication failure.*[$#] $`)
	word := regexp.MustCompile(`Word: $`)
	// Without a word a screen that locks by itself locks nobody out.
	say("su "+name, asked)
	say("", passed)
	say("sessionctl guest word", regexp.MustCompile(`unlock with: $`))
	say("tulip", regexp.MustCompile(`Once more: $`))
	say("tulip", prompt)
	say("su "+name, asked)
	say("rose", refused)
	say("su "+name, asked)
	say("tulip", passed)
	say("su root", asked)
	say("tulip", refused)

	say("sessionctl guest lock", word)
	say("\x03rose", word)
	say("", word)
	// The machine's wish to lock reaches nothing in there, and does nothing to it.
	b.Must("loginctl", "lock-sessions")
	say("tulip", prompt)
	if out, code, err := term.Do("id -un"); err != nil || code != 0 || strings.TrimSpace(out) != name {
		t.Errorf("who came back is %q, %v", out, err)
	}
	if shown := term.Shown(); strings.Contains(shown, "tulip") || strings.Contains(shown, "rose") {
		t.Errorf("the words were shown:\n%s", shown)
	}
	if r := b.Run("sessionctl", "guest", "lock"); r.Code != 2 {
		t.Errorf("root is a guest: %s", r)
	}
	b.check(term.Type("exit\n"))
	if _, err := term.Wait(patience); err != nil {
		t.Error(err)
	}
}
