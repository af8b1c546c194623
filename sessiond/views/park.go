package views

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"ninefold/namespaces"
	"ninefold/sessiond/journal"
	"ninefold/sessiond/parked"
	"ninefold/sessiond/process"
)

// parkTimeout bounds what a logout copies.
const parkTimeout = time.Minute

// Layers opens the layers that are thrown away with v: parked.ErrNone where it
// has none. The caller closes them.
func (v *View) Layers() (*parked.Layers, error) {
	v.vs.mu.Lock()
	defer v.vs.mu.Unlock()
	if v.layers == nil {
		return nil, parked.ErrNone
	}
	fd, err := unix.FcntlInt(v.layers.Fd(), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return nil, err
	}
	return parked.Open(os.NewFile(uintptr(fd), v.layers.Name()))
}

// heldLayers opens the directory of layers that a holder holds, nil if it holds
// none. What is open here outlives the holder, which systemd ends at once when
// the machine goes down.
func heldLayers(holder journal.Process) *os.File {
	// A magic link: the file system has no name anywhere.
	name := fmt.Sprintf("/proc/%d/fd/%d", holder.PID, namespaces.HeldLayers)
	fd, err := unix.Open(name, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil // holders of older versions hold locks alone
	}
	dir := os.NewFile(uintptr(fd), name)
	// Alive after its number was used: it was the holder's.
	if !process.Alive(holder.PID, holder.Start) {
		dir.Close()
		return nil
	}
	return dir
}

const (
	// parkAtOnce bounds how many views are parked at a time when the machine goes down.
	parkAtOnce = 4
	// parkLast is how long all of it may take then.
	parkLast = 20 * time.Second
)

// GoDown is Close for when the machine goes down, and the views with it: it parks
// what they hold, for parkLast at most. The holders may have ended.
func (vs *Views) GoDown() {
	vs.mu.Lock()
	vs.stopping = true
	vs.mu.Unlock()
	deadline := time.Now().Add(parkLast)
	var wg sync.WaitGroup
	places := make(chan struct{}, parkAtOnce)
	for _, v := range vs.List() {
		wg.Go(func() {
			places <- struct{}{}
			defer func() { <-places }()
			vs.parkUntil(deadline, v)
		})
	}
	wg.Wait()
	// What logouts had begun is parked as well: nobody begins it anew.
	late := time.AfterFunc(time.Until(deadline), vs.stop)
	defer late.Stop()
	vs.wg.Wait()
	vs.stop()
}

// park keeps what goes with v for a while, where its profile says so. It reports
// whether v may end now: not when the daemon is stopping, since the next one
// then begins anew. What cannot be parked is lost, as it was before there was
// parking: a full disk must not keep views.
func (vs *Views) park(v *View) bool { return vs.parkUntil(time.Now().Add(parkTimeout), v) }

// parkUntil is park with another bound; what was copied by then is parked.
func (vs *Views) parkUntil(deadline time.Time, v *View) bool {
	if vs.o.Shelf == nil {
		return true
	}
	l, err := v.Layers()
	if err != nil {
		return true
	}
	defer l.Close()
	if !l.Parks {
		return true
	}
	ctx, cancel := context.WithDeadline(vs.parking, deadline)
	defer cancel()
	begun := time.Now()
	it, err := vs.o.Shelf.Park(ctx, l, parked.Item{View: v.rec.ID, UID: v.rec.UID, User: v.rec.User, Profile: v.rec.Profile, When: begun.UTC()})
	switch {
	case vs.parking.Err() != nil:
		return err == nil
	case errors.Is(err, parked.ErrEmpty):
	case err != nil:
		vs.o.Log.Error("what a logout throws away could not be parked", "view", v.rec.ID, "user", v.rec.User, "error", err)
	default:
		vs.o.Log.Info("what a logout throws away is parked", "view", v.rec.ID, "user", v.rec.User, "id", it.ID,
			"files", strconv.FormatInt(it.Files, 10), "bytes", it.Bytes, "left out", it.Left, "why", it.Why, "took", time.Since(begun).Round(time.Millisecond))
	}
	return true
}
