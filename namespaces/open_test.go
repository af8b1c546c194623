package namespaces_test

import (
	"bufio"
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"ninefold/namespaces"
	"ninefold/namespaces/plan"
	"ninefold/tests/needs"
)

func openPlan(t *testing.T) *plan.Plan {
	return hostPlan(t, plan.Namespaces{PID: true, Net: plan.NetHost, User: plan.UserHost}, 0)
}

// reading starts a command in a new session whose output is read by lines.
func reading(t *testing.T, p *plan.Plan, c namespaces.Command, ready func(*namespaces.Session) error) (*namespaces.Session, *bufio.Reader, error) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	c.Stdout = w
	s, err := namespaces.Open(context.Background(), p, c, ready)
	w.Close()
	return s, bufio.NewReader(r), err
}

// TestAnOpenSessionOutlivesItsFirstCommand: others join while that runs and after it
// has ended, and it keeps its locks until its first process is killed.
func TestAnOpenSessionOutlivesItsFirstCommand(t *testing.T) {
	needs.Root(t)
	p := openPlan(t)
	name := filepath.Join(t.TempDir(), "lock")
	held, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Flock(int(held.Fd()), unix.LOCK_SH); err != nil {
		t.Fatal(err)
	}
	told := 0
	s, out, err := reading(t, p, namespaces.Command{Argv: []string{"sh", "-c", "echo $$; exit 7"}, Hold: []*os.File{held}},
		func(s *namespaces.Session) error { told = s.PID(); return nil })
	if err != nil {
		t.Fatal(err)
	}
	held.Close()
	if line, err := out.ReadString('\n'); err != nil || line == "1\n" {
		t.Errorf("the command says %q, %v", line, err)
	}
	status, err := s.Wait()
	if err != nil || status.Code != 7 || told != s.PID() {
		t.Errorf("%+v, %v; told of %d", status, err, told)
	}
	if _, err := out.ReadByte(); err == nil {
		t.Error("the session holds the output of its first command")
	}
	fd, err := unix.PidfdOpen(s.PID(), 0)
	if err != nil {
		t.Fatal(err)
	}
	pidfd := os.NewFile(uintptr(fd), "pidfd")
	defer pidfd.Close()
	joined, err := namespaces.Join(p, pidfd, s.PID(), namespaces.Command{Argv: []string{"sh", "-c", "test -d /proc/1 && exit 5"}})
	if err != nil {
		t.Fatal(err)
	}
	if status, err := joined.Wait(); err != nil || status.Code != 5 {
		t.Errorf("joined: %+v, %v", status, err)
	}
	again, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if err := unix.Flock(int(again.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != unix.EWOULDBLOCK {
		t.Errorf("the lock is not held: %v", err)
	}
	kill(t, s.PID())
	if err := unix.Flock(int(again.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		t.Errorf("the lock is still held: %v", err)
	}
}

// kill ends the first process of a session, which is ours.
func kill(t *testing.T, pid int) {
	t.Helper()
	if err := unix.Kill(pid, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if _, err := unix.Wait4(pid, nil, 0, nil); err != nil {
		t.Fatal(err)
	}
}

// staying opens a session with a command in it that has begun, and stays.
func staying(t *testing.T) (*namespaces.Session, *bufio.Reader) {
	t.Helper()
	s, out, err := reading(t, openPlan(t), namespaces.Command{Argv: []string{"sh", "-c", "echo; exec sleep 1000"}},
		func(*namespaces.Session) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	if _, err := out.ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	return s, out
}

// TestAnOpenSessionThatIsEndedEndsItsCommand: Wait tells so, and reaps.
func TestAnOpenSessionThatIsEndedEndsItsCommand(t *testing.T) {
	needs.Root(t)
	s, out := staying(t)
	if err := unix.Kill(s.PID(), unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if status, err := s.Wait(); err != nil || status.Signal != unix.SIGKILL {
		t.Errorf("%+v, %v", status, err)
	}
	if _, err := out.ReadByte(); err == nil {
		t.Error("the command goes on")
	}
}

// TestWhoLeavesAnOpenSessionTakesTheCommandAlong: it ends with its keeper, and the
// session does not.
func TestWhoLeavesAnOpenSessionTakesTheCommandAlong(t *testing.T) {
	needs.Root(t)
	s, out := staying(t)
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if _, err := out.ReadByte(); err == nil {
		t.Error("the command goes on")
	}
	kill(t, s.PID()) // fails if it is not there
}

// TestNothingIsLeftOfASessionThatIsNotWanted: before the command has begun.
func TestNothingIsLeftOfASessionThatIsNotWanted(t *testing.T) {
	needs.Root(t)
	no, pid := errors.New("no"), 0
	_, out, err := reading(t, openPlan(t), namespaces.Command{Argv: []string{"echo", "there"}}, func(s *namespaces.Session) error { pid = s.PID(); return no })
	if !errors.Is(err, no) {
		t.Errorf("%v", err)
	}
	if line, err := out.ReadString('\n'); err == nil {
		t.Errorf("the command has begun: %q", line)
	}
	if err := unix.Kill(pid, 0); err != unix.ESRCH {
		t.Errorf("the first process is there: %v", err)
	}
}
