package namespaces_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ninefold/namespaces"
	"ninefold/namespaces/plan"
)

var errNo = errors.New("no")

// TestGuard: a command begins when its guard has ended and its keeper said so, and
// otherwise nothing of the session is left.
func TestGuard(t *testing.T) {
	shared := t.TempDir()
	if err := os.Chmod(shared, 0o777); err != nil {
		t.Fatal(err)
	}
	where := filepath.Join("/mnt", "shared")
	ns := all
	ns.User = plan.UserMapped
	p := hostPlan(t, ns, 65501, plan.Bind{Source: shared, Target: where, Flags: weak})
	p.Class = plan.Untrusted
	for i, op := range p.Ops {
		if _, ok := op.(plan.Identity); ok {
			p.Ops = append(p.Ops[:i:i], append([]plan.Op{plan.Privileges{NoNewPrivs: true, Seccomp: "default"}}, p.Ops[i:]...)...)
			break
		}
	}
	ran := filepath.Join(shared, "ran")
	command := []string{"touch", filepath.Join(where, "ran")}
	for what, c := range map[string]struct {
		script string
		time   time.Duration
		answer error
		want   error
		code   int
	}{
		"lets it in":       {"id -u; grep Seccomp: /proc/self/status; cat; ps -e | wc -l; exit 3", time.Minute, nil, nil, 3},
		"refuses":          {"echo no", time.Minute, errNo, errNo, 0},
		"is killed":        {"kill -9 $$", time.Minute, errNo, errNo, 128 + 9},
		"hangs":            {"exec sleep 1000", 200 * time.Millisecond, nil, namespaces.ErrGuard, 0},
		"leaves something": {"sleep 1000 >/dev/null 2>&1 & exec 0<&-", time.Minute, nil, nil, 0},
		"says too much":    {"yes", time.Minute, nil, namespaces.ErrGuard, 0},
	} {
		t.Run(what, func(t *testing.T) {
			_ = os.Remove(ran)
			asked, guard := false, namespaces.Guard{Argv: []string{"/bin/sh", "-c", c.script}, Time: c.time, Max: 64 << 10}
			guard.Passed = func(said []byte, status namespaces.Status) error {
				asked = true
				if _, err := os.Stat(ran); err == nil {
					t.Error("the command did not wait")
				}
				if status.Code != c.code {
					t.Errorf("the guard ended with %d: %s", status.Code, said)
				}
				if c.code == 3 && !strings.HasPrefix(string(said), "65501\nSeccomp:\t2\n") {
					t.Errorf("it is somebody else: %s", said)
				}
				return c.answer
			}
			status, err := namespaces.Run(context.Background(), p, namespaces.Command{Argv: command, Guard: &guard})
			if !errors.Is(err, c.want) || err == nil && status.Code != 0 {
				t.Errorf("%v, %v", status, err)
			}
			if asked != (c.want == nil || c.want == errNo) {
				t.Errorf("asked: %v", asked)
			}
			if _, err := os.Stat(ran); (err == nil) != (c.want == nil) {
				t.Errorf("the command ran: %v", err == nil)
			}
		})
	}
	t.Run("before others join", func(t *testing.T) {
		_ = os.Remove(ran)
		said := ""
		guard := namespaces.Guard{Argv: []string{"echo", "here"}, Time: time.Minute, Max: 100,
			Passed: func(b []byte, _ namespaces.Status) error { said = string(b); return nil }}
		s, err := namespaces.Start(context.Background(), p, namespaces.Command{Guard: &guard})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		joined, err := s.Enter(namespaces.Command{Argv: command})
		if err != nil {
			t.Fatal(err)
		}
		defer joined.Close()
		if status, err := joined.Wait(); err != nil || status.Code != 0 || said != "here\n" {
			t.Errorf("%v, %v after %q", status, err, said)
		}
		if _, err := os.Stat(ran); err != nil {
			t.Error(err)
		}
	})
}
