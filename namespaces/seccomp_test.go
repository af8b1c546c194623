package namespaces_test

import (
	"strings"
	"syscall"
	"testing"

	"ninefold/namespaces"
	"ninefold/namespaces/plan"
)

// TestFilterDeniesWhatItNames tries calls of each kind in a session of root's
// that keeps its capabilities, so that only the filter can refuse.
func TestFilterDeniesWhatItNames(t *testing.T) {
	caps := []string{"cap_sys_admin", "cap_setuid", "cap_setgid"}
	tries := "unshare -m true && echo unshare; unshare -U true && echo user; mount -t tmpfs none /mnt && echo mount; " +
		"nsenter -t $$ -u true && echo setns; dmesg >/dev/null && echo syslog; echo alive"
	open, _ := output(t, hostPlan(t, all, 0, plan.Privileges{Capabilities: caps}), "sh", "-c", tries)
	if !strings.Contains(open, "unshare") || !strings.Contains(open, "mount") {
		t.Fatalf("without the filter these calls should work, or the test proves nothing: %s", open)
	}
	closed, status := output(t, hostPlan(t, all, 0, plan.Privileges{Capabilities: caps, Seccomp: "default"}), "sh", "-c", tries)
	if status.Code != 0 || !strings.HasSuffix(closed, "alive\n") {
		t.Fatalf("%v %s", status, closed)
	}
	for _, word := range []string{"unshare\n", "user\n", "mount\n", "setns\n", "syslog\n"} {
		if strings.Contains("\n"+closed, "\n"+word) {
			t.Errorf("the filter let %s through:\n%s", strings.TrimSpace(word), closed)
		}
	}
}

// The first process of a session has a filter of its own, which its command does
// not inherit, and can do its work behind it.
func TestInitIsConfinedAndItsCommandIsNot(t *testing.T) {
	out, status := output(t, hostPlan(t, all, 0), "sh", "-c", "grep Seccomp: /proc/1/status /proc/self/status; setsid sleep 1000 >/dev/null 2>&1 & exit 7")
	if out != "/proc/1/status:Seccomp:\t2\n/proc/self/status:Seccomp:\t0\n" || status.Code != 7 {
		t.Errorf("status %v: %s", status, out)
	}
	s, err := namespaces.Start(t.Context(), hostPlan(t, all, 0), namespaces.Command{Argv: []string{"sleep", "1000"}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	// Stopped and continued, its wait goes on, and so does the forwarding of signals.
	for _, sig := range []syscall.Signal{syscall.SIGSTOP, syscall.SIGCONT, syscall.SIGTERM} {
		if err := s.Signal(sig); err != nil {
			t.Fatal(err)
		}
	}
	if status, err := s.Wait(); err != nil || status.Signal != syscall.SIGTERM {
		t.Errorf("%+v, %v", status, err)
	}
}
