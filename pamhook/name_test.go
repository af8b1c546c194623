package pamhook

import (
	"os/exec"
	"strings"
	"testing"

	"ninefold/sessiond/door"
	"ninefold/tests/needs"
)

// A person may type NAME+PROFILE where a program asks PAM for the name.
func TestChoiceInTheName(t *testing.T) {
	needs.Root(t)
	p := listen(t, say(door.Host, ""))
	module := built(t, "pam_ninefold.so")
	long := strings.Repeat("p", 128)
	lines := []string{
		"auth [default=ignore] " + module + " debug", "auth required pam_permit.so", "account required pam_permit.so",
		"session required pam_permit.so", "session " + control + " " + module + " prepare",
	}
	stack(t, "nf-name", lines...)
	for typed, want := range map[string]struct{ user, choice string }{
		person + "+dev":             {person, "dev"},
		person + "+a+b":             {}, // the account would be person+a
		person:                      {person, ""},
		person + "+":                {},
		"+dev":                      {},
		"nobody-of-that-name+dev":   {},
		person + "+" + long:         {},
		person + "+" + long[:127]:   {person, long[:127]},
		"root+dev":                  {}, // never asks
		person + "+d\x1b[31mv":      {person, "?"},
		strings.Repeat("n+", 40000): {},
	} {
		before := len(p.requests())
		r := finish(t, exec.Command("pamtester", "nf-name", typed, "authenticate", "open_session"))
		if r.code != 0 {
			t.Errorf("%.60q: %+v", typed, r)
		}
		asked := p.requests()[before:]
		switch {
		case want.user == "" && len(asked) != 0:
			t.Errorf("%.60q: asked %+v", typed, asked)
		case want.user != "" && (len(asked) != 1 || asked[0].User != want.user || asked[0].Choice != want.choice):
			t.Errorf("%.60q: asked %+v", typed, asked)
		}
	}
}

// login(1) goes on with the name that is left.
func TestLoginWithAChoice(t *testing.T) {
	needs.Root(t)
	v := newView(t)
	p := listen(t, v.enter())
	module := built(t, "pam_ninefold.so")
	stack(t, "login", "auth [default=ignore] "+module, "auth required pam_permit.so", "account required pam_permit.so",
		"session required pam_permit.so", "session "+control+" "+module)
	cmd := exec.Command("script", "-qec", "login "+person+"+dev", "/dev/null")
	cmd.Stdin = strings.NewReader("id -un; " + where + "\nexit\n")
	r := finish(t, cmd)
	contains(t, "the terminal", r.out, v.id())
	contains(t, "the terminal", r.out, person+"\r\n")
	if q := p.requests(); len(q) != 1 || q[0].User != person || q[0].Choice != "dev" {
		t.Errorf("asked %+v", q)
	}
}
