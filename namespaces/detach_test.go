package namespaces_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"ninefold/namespaces"
	"ninefold/namespaces/plan"
	"ninefold/tests/needs"
)

// TestADetachedSessionKeepsItsLocks: it needs no keeper, holds what it was
// given, and ends with SIGTERM.
func TestADetachedSessionKeepsItsLocks(t *testing.T) {
	needs.Root(t)
	name := filepath.Join(t.TempDir(), "lock")
	lock := func() *os.File {
		f, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	held := lock()
	if err := unix.Flock(int(held.Fd()), unix.LOCK_SH); err != nil {
		t.Fatal(err)
	}
	only := plan.Namespaces{Net: plan.NetHost, User: plan.UserHost}
	s, err := namespaces.Start(context.Background(), hostPlan(t, only, 12345), namespaces.Command{Hold: []*os.File{held}})
	if err != nil {
		t.Fatal(err)
	}
	pidfd, err := s.Detach()
	if err != nil {
		t.Fatal(err)
	}
	defer pidfd.Close()
	held.Close()
	if _, err := s.Detach(); err == nil {
		t.Error("detached twice")
	}
	again := lock()
	defer again.Close()
	if err := unix.Flock(int(again.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != unix.EWOULDBLOCK {
		t.Errorf("the lock is not held: %v", err)
	}
	ns := "--mount=/proc/" + strconv.Itoa(s.PID()) + "/ns/mnt"
	if out, err := exec.Command("nsenter", ns, "--", "test", "-e", "/run/ninefold/lib/ninefold-init").CombinedOutput(); err != nil {
		t.Errorf("the view is not there: %v %s", err, out)
	}
	if err := unix.PidfdSendSignal(int(pidfd.Fd()), unix.SIGTERM, nil, 0); err != nil {
		t.Fatal(err)
	}
	if n, err := unix.Poll([]unix.PollFd{{Fd: int32(pidfd.Fd()), Events: unix.POLLIN}}, int(10*time.Second/time.Millisecond)); n != 1 {
		t.Fatalf("it did not end: %v", err)
	}
	var status unix.WaitStatus
	if _, err := unix.Wait4(s.PID(), &status, 0, nil); err != nil || !status.Exited() || status.ExitStatus() != 0 {
		t.Errorf("%v %v", status, err)
	}
	if err := unix.Flock(int(again.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		t.Errorf("the lock is still held: %v", err)
	}
}
