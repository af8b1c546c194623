package broker

import (
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"ninefold/namespaces/kernel"
	"ninefold/sessiond/broker/wire"
)

const (
	// closeTime is how long a conversation waits for its descriptors to close.
	closeTime = 50 * time.Millisecond
	// abortTime is after how long whoever does not let them close is cut off. Until
	// then nothing that the daemon starts gets to its program, which closes what it
	// inherits, and a login waits for a view no longer than 0.9 s. It meets nobody
	// honest: sessionctl passes no file of FUSE.
	abortTime = 300 * time.Millisecond
)

// letGo closes descriptors that came from uid. Closing one asks its file system, which
// can be the caller's own and not answer (FUSE_FLUSH, linux/fuse.h). The kernel
// then lets nothing end the thread, and with it the daemon: so the connections of
// that user's file systems are cut.
func (b *Broker) letGo(uid uint32, fds []wire.FD) {
	fds = slices.DeleteFunc(fds, func(d wire.FD) bool {
		if mayWait(d) {
			return false
		}
		d.Close()
		return true
	})
	if len(fds) == 0 {
		return
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for _, d := range fds {
			d.Close()
		}
	}()
	soon := time.NewTimer(closeTime)
	defer soon.Stop()
	select {
	case <-done:
		return
	case <-soon.C:
	}
	leave := b.limits.stuck(uid)
	b.closing.Go(func() {
		select {
		case <-done:
			return
		case <-time.After(abortTime):
		}
		b.cutting.Lock()
		defer b.cutting.Unlock()
		select {
		case <-done: // by what was cut for another conversation
			return
		default:
		}
		cut, err := kernel.CutFUSE(uid)
		b.Log.Warn("descriptors that a caller has passed do not close; the caller's FUSE file systems are cut off", "uid", uid, "file_systems", cut, "error", err)
		select {
		case <-done:
		case <-time.After(closeTime):
		}
	})
	b.closing.Go(func() {
		defer leave()
		<-done // which can be never: root's own file systems are left alone
	})
}

// mayWait reports whether closing d may ask a file system: it is open, and neither
// a pipe, a socket nor a device.
func mayWait(d wire.FD) bool {
	if path, err := namesOnly(int(d)); err == nil && path {
		return false
	}
	f, err := fileOf(int(d))
	if err != nil {
		return true
	}
	switch f.kind {
	case unix.S_IFIFO, unix.S_IFSOCK, unix.S_IFCHR, unix.S_IFBLK:
		return false
	}
	return true
}

// closed waits until all is closed, or nothing more can be done about it.
func (b *Broker) closed() {
	done := make(chan struct{})
	go func() {
		defer close(done)
		b.closing.Wait()
	}()
	select {
	case <-done:
	case <-time.After(2*abortTime + time.Second):
	}
}
