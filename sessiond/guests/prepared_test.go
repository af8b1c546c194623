package guests_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"ninefold/namespaces/plan"
	"ninefold/sessiond/decided"
	"ninefold/sessiond/guests"
	"ninefold/tests/needs"
)

// decide asks the built command for the plan of a guest.
func decide(t *testing.T, state string) *decided.Session {
	t.Helper()
	bin, err := filepath.Abs("../../bin/sessionctl")
	if err != nil {
		t.Fatal(err)
	}
	text, err := exec.Command(bin, "--state", state, "ns", "guest").Output()
	if err != nil {
		t.Fatalf("%v (make build)", err)
	}
	p, err := plan.Parse("guest", text)
	if err != nil {
		t.Fatal(err)
	}
	return &decided.Session{Profile: "guest", Plan: p, Guest: guests.FirstID, Command: []string{"/bin/sh"}}
}

func heard(t *testing.T, run func(out *os.File) error) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "out")
	out, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := run(out); err != nil {
		t.Error(err)
	}
	out.Close()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// withoutRecords has name services forget the guests of a test in the end, instead of
// a search of the whole machine, which would find nothing.
func withoutRecords(t *testing.T, all *guests.Guests) {
	t.Cleanup(func() {
		list, err := all.List()
		for _, r := range list {
			records, _ := filepath.Glob("/run/userdb/*" + strings.TrimPrefix(r.Name, "guest-") + ".*")
			for _, name := range records {
				_ = os.Remove(name)
			}
		}
		if err != nil {
			t.Error(err)
		}
	})
}

// TestPrepared: who comes into a prepared session gets what one gets who waits
// until it is made, and of one that nobody came into nothing waits for a search.
func TestPrepared(t *testing.T) {
	needs.Root(t)
	state := t.TempDir()
	all, s := guests.Open(state).Asking(""), decide(t, state)
	withoutRecords(t, all)
	stateOf := func(name string) guests.State {
		list, err := all.List()
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range list {
			if r.Name == name {
				return r.State
			}
		}
		return ""
	}
	one, err := all.Prepare(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	two, err := all.Prepare(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	if one.UID() == two.UID() || stateOf(one.Name()) != guests.Waiting {
		t.Errorf("%s and %s, which is %s", one.Name(), two.Name(), stateOf(one.Name()))
	}
	if err := two.Close(); err != nil || stateOf(two.Name()) != guests.Clean {
		t.Errorf("%v; it is %s", err, stateOf(two.Name()))
	}
	const look = "id -u; pwd; ls /home; grep -E '^(Cap|NoNewPrivs|Seccomp:|Groups)' /proc/self/status; readlink /proc/1/exe; cat /proc/1/comm; env | sort | grep -v '^USER\\|^LOGNAME'; ulimit -a"
	script := []string{"/bin/sh", "-c", look}
	late := heard(t, func(out *os.File) error {
		status, err := one.Run(t.Context(), decided.Request{Command: script, Stdout: out})
		if status.Code != 0 {
			t.Errorf("it ended with %d", status.Code)
		}
		return err
	})
	early := heard(t, func(out *os.File) error {
		_, err := all.Run(t.Context(), s, decided.Request{Command: script, Stdout: out})
		return err
	})
	own, rest, _ := strings.Cut(late, "\n")
	if own != strings.TrimPrefix(one.Name(), "guest-") {
		t.Errorf("it is %s and not %s", own, one.Name())
	}
	other, same, _ := strings.Cut(early, "\n")
	if strings.ReplaceAll(rest, own, "ID") != strings.ReplaceAll(same, other, "ID") {
		t.Errorf("in a prepared session:\n%s\nand in one that was waited for:\n%s", rest, same)
	}
	if stateOf(one.Name()) != guests.Ended {
		t.Errorf("it is %s", stateOf(one.Name()))
	}
}
