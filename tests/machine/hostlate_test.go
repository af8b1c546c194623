package machine

import (
	"strings"
	"syscall"
	"testing"
)

// hostLate: a command that systemd gets to after its caller was told that it does
// not run, does not run on. PID 1 stands still for as long as a start may take.
func (b *Booted) hostLate(t *testing.T) {
	answered := make(chan Result, 1)
	go func() {
		answered <- b.Machine.SSH(b.ctx, "alice", "touch ~/here; while [ ! -e ~/go ]; do sleep 0.1; done; sessionctl host sleep 9753")
	}()
	b.eventually("the caller to be logged in", func() string {
		if r := b.Run("ls", "/home/alice/here"); !r.OK() {
			return r.String()
		}
		return ""
	})
	if err := syscall.Kill(b.leader, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	goOn := func() { _ = syscall.Kill(b.leader, syscall.SIGCONT) }
	defer goOn()
	b.Write("/home/alice/go", "")
	r := <-answered
	goOn()
	if r.Code == 0 || !strings.Contains(r.Stderr, "StartTransientUnit") {
		t.Errorf("the caller is told: %s", r)
	}
	b.eventually("the late command to be ended", func() string {
		if log := b.Journal("sessiond.service"); !strings.Contains(log, "started too late is ended") {
			return log
		}
		return b.wanted("sleep 9753", false)
	})
	b.Must("rm", "/home/alice/here", "/home/alice/go")
}
