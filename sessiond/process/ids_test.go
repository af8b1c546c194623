package process

import (
	"os"
	"os/exec"
	"slices"
	"syscall"
	"testing"
)

// TestByUID: whose processes there are is told by any of their ids, and both ways
// to ask the kernel say the same.
func TestByUID(t *testing.T) {
	mine, err := ByUID(uint32(os.Getuid()))
	if err != nil || !slices.Contains(mine, os.Getpid()) {
		t.Errorf("%v, %v", mine, err)
	}
	one, err := uids(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if other, err := statusUIDs(os.Getpid()); err != nil || other != one {
		t.Errorf("%v and %v, %v", one, other, err)
	}
	if os.Getuid() != 0 {
		return // another user's process takes root to start
	}
	const uid = 65501
	sleep := exec.Command("/bin/sleep", "1000")
	sleep.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	if err := sleep.Start(); err != nil {
		t.Fatal(err)
	}
	defer sleep.Wait()
	defer sleep.Process.Kill()
	if got, err := ByUID(uid); err != nil || !slices.Equal(got, []int{sleep.Process.Pid}) {
		t.Errorf("%v, %v", got, err)
	}
	if got, err := statusUIDs(sleep.Process.Pid); err != nil || got != [4]uint32{uid, uid, uid, uid} {
		t.Errorf("%v, %v", got, err)
	}
}

func TestAnEndedProcessHasNoUID(t *testing.T) {
	p := exec.Command("/bin/true")
	if err := p.Run(); err != nil {
		t.Fatal(err)
	}
	for _, ask := range []func(int) ([4]uint32, error){uids, statusUIDs} {
		if _, err := ask(p.Process.Pid); err != ErrGone {
			t.Errorf("%v", err)
		}
	}
}
