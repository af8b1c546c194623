package main

import (
	"fmt"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"ninefold/sessiond/door"
)

// TestALoginHasTheDirectoryThatLogindMounts has the user's runtime directory mounted
// while the view is made, as logind does: a session or a user manager without it
// cannot work.
func TestALoginHasTheDirectoryThatLogindMounts(t *testing.T) {
	w := newWorld(t)
	w.start()
	name := fmt.Sprintf("/run/user/%d", w.uid)
	if err := os.MkdirAll(name, 0o755); err != nil {
		t.Fatal(err)
	}
	gone := func() { _ = unix.Unmount(name, unix.MNT_DETACH) }
	t.Cleanup(gone)
	for i := range 60 {
		mounted := make(chan error)
		w.ask(door.Prepare, "")
		go func() {
			time.Sleep(time.Duration(i) * 100 * time.Microsecond) // at another step of it each time
			mounted <- unix.Mount("tmpfs", name, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, fmt.Sprintf("mode=0700,uid=%d,size=64k", w.uid))
		}()
		g := w.login(door.Session, "", "")
		if err := <-mounted; err != nil {
			t.Fatal(err)
		}
		if got := g.sh(t, "stat -c %a:%u "+name); got != fmt.Sprintf("700:%d", w.uid) {
			t.Fatalf("the %d. login has as its runtime directory one of %s", i, got)
		}
		g.leave()
		gone()
		w.until("the view is gone", func() bool { return len(w.holders()) == 0 })
	}
}
