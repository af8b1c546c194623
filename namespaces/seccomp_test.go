package namespaces_test

import (
	"strings"
	"testing"

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
