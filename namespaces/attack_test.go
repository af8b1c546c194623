package namespaces_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"ninefold/namespaces"
	"ninefold/namespaces/plan"
	"ninefold/tests/needs"
)

// TestStepsInAHomeAreItsOwners: what a step makes in a user's directory is made
// with that user's rights, so that exchanging it meanwhile gains nothing, and a
// link there is none that later steps follow as root's.
func TestStepsInAHomeAreItsOwners(t *testing.T) {
	needs.Root(t)
	home := t.TempDir()
	const uid = 12345
	if err := os.Chown(home, uid, uid); err != nil {
		t.Fatal(err)
	}
	for p := home; p != "/"; p = filepath.Dir(p) {
		if st, err := os.Stat(p); err == nil && st.Mode()&0o001 == 0 {
			if err := os.Chmod(p, st.Mode()|0o011); err != nil {
				t.Fatal(err)
			}
		}
	}
	p := hostPlan(t, plan.Namespaces{Net: plan.NetHost, User: plan.UserHost}, uid,
		plan.Bind{Source: home, Target: "/tmp/home"},
		plan.Mkdir{Path: "/tmp/home/dir", Mode: 0o1777, UID: uid, GID: uid},
		plan.File{Path: "/tmp/home/file", Mode: 0o600, UID: uid, GID: uid, Content: "x"},
		plan.Link{Text: "/etc", Path: "/tmp/home/link"})
	if _, status := output(t, p, "true"); status.Code != 0 {
		t.Fatal(status)
	}
	for name, mode := range map[string]os.FileMode{"dir": 0o777, "file": 0o600, "link": 0o777} {
		st, err := os.Lstat(filepath.Join(home, name))
		if err != nil {
			t.Fatal(err)
		}
		if got := st.Sys().(*syscall.Stat_t).Uid; got != uid || st.Mode().Perm() != mode {
			t.Errorf("%s belongs to uid %d and has mode %v", name, got, st.Mode())
		}
	}
}

// TestCloseEndsWhatEntered: a command that joined a session with a PID
// namespace ends with Close, at once, with its whole job.
func TestCloseEndsWhatEntered(t *testing.T) {
	for _, pid := range []bool{true, false} {
		s, err := namespaces.Start(context.Background(), hostPlan(t, plan.Namespaces{PID: pid, Net: plan.NetHost, User: plan.UserHost}, 12345), namespaces.Command{})
		if err != nil {
			t.Fatal(err)
		}
		mark := "100000" + strconv.Itoa(os.Getpid())
		in, err := s.Enter(namespaces.Command{Argv: []string{"sh", "-c", "sleep " + mark + " & sleep " + mark}})
		if err != nil {
			t.Fatal(err)
		}
		for range 1000 {
			if len(sleeping(mark)) == 2 {
				break
			}
			time.Sleep(time.Millisecond)
		}
		begun := time.Now()
		if err := in.Close(); err != nil {
			t.Error(err)
		}
		if took := time.Since(begun); took > 10*time.Second {
			t.Errorf("closing took %v", took)
		}
		for range 1000 {
			if len(sleeping(mark)) == 0 {
				break
			}
			time.Sleep(time.Millisecond)
		}
		if left := sleeping(mark); len(left) != 0 {
			t.Errorf("pid namespace %v: left running: %v", pid, left)
		}
		if err := unix.Kill(s.PID(), 0); err != nil {
			t.Errorf("the session went too: %v", err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

func sleeping(mark string) (pids []string) {
	names, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, n := range names {
		if b, err := os.ReadFile(n); err == nil && strings.HasPrefix(string(b), "sleep\x00"+mark) {
			pids = append(pids, n)
		} else if err != nil && !errors.Is(err, os.ErrNotExist) && !errors.Is(err, unix.ESRCH) {
			return append(pids, err.Error())
		}
	}
	return pids
}
