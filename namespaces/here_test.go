package namespaces_test

import (
	"context"
	"os"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"

	"ninefold/namespaces"
	"ninefold/namespaces/plan"
)

// A session that could not be made leaves its caller, who goes on with something
// else, in the caller's directory and with the caller's umask.
func TestAFailureLeavesTheCallerWhereItWas(t *testing.T) {
	p := hostPlan(t, plan.Namespaces{Net: plan.NetHost, User: plan.UserHost}, 0, plan.Bind{Source: "/nowhere/at/all", Target: "/mnt", Flags: weak})
	want := t.TempDir()
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // and never unlocked: the thread ends with this
		if err := unix.Unshare(unix.CLONE_FS); err != nil {
			t.Error(err)
			return
		}
		if err := unix.Chdir(want); err != nil {
			t.Error(err)
			return
		}
		unix.Umask(0o027)
		if _, err := namespaces.Run(context.Background(), p, namespaces.Command{Argv: []string{"true"}, Here: true}); err == nil {
			t.Error("a session with a source that is not there was made")
		}
		if mask := unix.Umask(0o027); mask != 0o027 {
			t.Errorf("the umask is %#o", mask)
		}
		if dir, err := os.Readlink("/proc/thread-self/cwd"); err != nil || dir != want {
			t.Errorf("the directory is %q %v", dir, err)
		}
	}()
	<-done
}
