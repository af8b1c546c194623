package pamhook

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"ninefold/sessiond/door"
	"ninefold/tests/needs"
)

// offers is a daemon that offers profiles, and leaves everybody on the host.
func offers(profiles ...string) func(door.Request) (door.Reply, []*os.File) {
	return func(r door.Request) (door.Reply, []*os.File) {
		reply := door.Reply{Verdict: door.Host}
		for _, p := range profiles {
			if r.Op == door.Choices {
				reply.Environment = append(reply.Environment, "NINEFOLD_CHOICE="+p)
			}
		}
		return reply, nil
	}
}

// asking is a stack in which the module asks who gave a password.
func asking(t testing.TB, name, module, between string) {
	t.Helper()
	stack(t, name, "auth "+between, "auth [default=ignore] "+module+" ask debug", "account required pam_permit.so",
		"session required pam_permit.so", "session "+control+" "+module+" prepare")
}

// typing logs in with answers on stdin, and returns what the session asked for.
func typing(t testing.TB, p *peer, answers string, cmd *exec.Cmd) (r result, choice string, questions int) {
	t.Helper()
	before := len(p.requests())
	cmd.Stdin = strings.NewReader(answers)
	r = finish(t, cmd)
	for _, q := range p.requests()[before:] {
		switch q.Op {
		case door.Choices:
			questions++
		default:
			choice = q.Choice
		}
	}
	return r, choice, questions
}

func TestAskedForAProfile(t *testing.T) {
	needs.Root(t)
	asking(t, "login", built(t, "pam_ninefold.so"), "required pam_permit.so")
	p := listen(t, offers("marked", "second", "3"))
	for answers, want := range map[string]struct {
		choice  string
		told    bool
		prompts int
	}{
		"\n": {"", false, 1}, "1\n": {"marked", false, 1}, "2\n": {"second", false, 1}, "second\n": {"second", false, 1},
		"3\n": {"3", false, 1}, "0\n2\n": {"second", false, 2}, "x\n\n": {"", false, 2}, "x\n4\n2\n": {"", true, 2},
		"": {"", false, 1}, strings.Repeat("9", 300) + "\n2\n": {"second", false, 2}, "sec\x1b[31mond\n\xff\n": {"", true, 2}, "NINEFOLD_CHOICE=second\n02\n": {"", true, 2},
	} {
		r, choice, questions := typing(t, p, answers, exec.Command("pamtester", "login", person, "authenticate", "open_session"))
		all := r.out + r.errors
		if r.code != 0 || choice != want.choice || questions != 1 || strings.Contains(all, "none of them; you get marked") != want.told {
			t.Errorf("%.30q: chose %q, asked the daemon %d times: %+v", answers, choice, questions, r)
		}
		if n := strings.Count(all, "Profile 1 marked (Enter), 2 second, 3 3: "); n != want.prompts {
			t.Errorf("%.30q: %d prompts in %q", answers, n, all)
		}
	}
	// Who chose already is not asked, nor who has nothing to choose, nor a system user.
	if _, choice, questions := typing(t, p, "2\n", exec.Command("pamtester", "-E", "NINEFOLD_PROFILE=marked", "login", person, "authenticate", "open_session")); choice != "marked" || questions != 0 {
		t.Errorf("a choice that was made: %q, asked %d times", choice, questions)
	}
	if r, _, questions := typing(t, p, "2\n", exec.Command("pamtester", "login", system, "authenticate")); r.code != 0 || questions != 0 {
		t.Errorf("a system user: asked %d times: %+v", questions, r)
	}
	// su and sudo are no logins.
	for _, service := range []string{"su", "su-l", "sudo", "lightdm"} {
		asking(t, service, built(t, "pam_ninefold.so"), "required pam_permit.so")
		if r, choice, questions := typing(t, p, "2\n", exec.Command("pamtester", service, person, "authenticate", "open_session")); r.code != 0 || choice != "" || questions != 0 {
			t.Errorf("%s: chose %q, asked %d times: %+v", service, choice, questions, r)
		}
	}
}

// The line decides nothing: not when the stack fails, not when the daemon does.
func TestAskingChangesNoResult(t *testing.T) {
	needs.Root(t)
	module := built(t, "pam_ninefold.so")
	many := make([]string, 30)
	for i := range many {
		many[i] = fmt.Sprintf("profile-%04d", i)
	}
	for name, answer := range map[string]func(door.Request) (door.Reply, []*os.File){
		"choices": offers("a", "b"), "one": offers("a"), "none": offers(), "a refusal": say(door.Refuse, "no"),
		"an answer of another kind": leads(t, "/proc/self/ns/mnt"),
	} {
		p := listen(t, answer)
		for between, code := range map[string]int{"required pam_permit.so": 0, "required pam_deny.so": 1} {
			asking(t, "login", module, between)
			if r, _, _ := typing(t, p, "2\n", exec.Command("pamtester", "login", person, "authenticate")); r.code != code {
				t.Errorf("%s, %s: %+v", name, between, r)
			}
		}
		if name != "choices" {
			if r, _, _ := typing(t, p, "2\n", exec.Command("pamtester", "login", person, "authenticate")); strings.Contains(r.out+r.errors, "Profile") {
				t.Errorf("%s: asked: %+v", name, r)
			}
		}
		p.l.Close()
	}
	p := listen(t, offers(many...))
	asking(t, "login", module, "required pam_permit.so")
	r, choice, _ := typing(t, p, "30\n", exec.Command("pamtester", "login", person, "authenticate", "open_session"))
	if r.code != 0 || choice != many[29] {
		t.Errorf("of many: %q: %.200s", choice, r.out+r.errors)
	}
	p.l.Close()
	if r := finish(t, exec.Command("pamtester", "login", person, "authenticate")); r.code != 0 {
		t.Errorf("without a daemon: %+v", r)
	}
}

// TestAskingSanitized asks with AddressSanitizer and UBSan, and under valgrind.
func TestAskingSanitized(t *testing.T) {
	needs.Root(t)
	module, environment := sanitized(t)
	long := make([]string, 7)
	for i := range long {
		long[i] = strings.Repeat(string(rune('a'+i)), 120)
	}
	p := listen(t, offers(long...))
	for _, answers := range []string{"\n", "7\n", "x\ny\n", ""} {
		asking(t, "login", module, "required pam_permit.so")
		cmd := exec.Command("pamtester", "login", person, "authenticate")
		cmd.Env = environment
		r, _, _ := typing(t, p, answers, cmd)
		lacks(t, "the output", r.out+r.errors, "Sanitizer")
		lacks(t, "the output", r.out+r.errors, "runtime error")
		if r.code != 0 {
			t.Errorf("%q: exit %d", answers, r.code)
		}
		asking(t, "login", built(t, "pam_ninefold.so"), "required pam_permit.so")
		r, _, _ = typing(t, p, answers, exec.Command("valgrind", "-q", "--error-exitcode=99", "--leak-check=full",
			"--errors-for-leak-kinds=definite,indirect,possible", "pamtester", "login", person, "authenticate"))
		if r.code != 0 {
			t.Errorf("%q under valgrind: exit %d: %s", answers, r.code, r.errors)
		}
	}
}
