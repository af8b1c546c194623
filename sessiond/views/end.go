package views

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"ninefold/sessiond/api"
	"ninefold/sessiond/journal"
	"ninefold/sessiond/process"
)

// endTimeout is how long a holder, or a process in a view that is ended, may
// take after SIGTERM.
const endTimeout = 2 * time.Second

// Run looks after the views until ctx ends: it removes the sessions that are
// over and ends the views that nobody uses.
func (vs *Views) Run(ctx context.Context) {
	next := time.NewTimer(sweepEvery)
	defer next.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-next.C:
		case <-vs.soon:
			// The end of a login is several changes, and the next login may be on its
			// way: looking through all sessions has time.
			select {
			case <-ctx.Done():
				return
			case <-time.After(sweepSoon):
			}
			select {
			case <-vs.soon:
			default:
			}
		}
		next.Reset(vs.sweep(time.Now()))
	}
}

// Changed says that a session or a manager may be over.
func (vs *Views) Changed() {
	select {
	case vs.soon <- struct{}{}:
	default: // one is on its way
	}
}

// watchLeader calls Changed when p ends. The kernel keeps nothing of p but the
// descriptor, and no thread waits.
func (vs *Views) watchLeader(p journal.Process) {
	f, err := process.Open(p.PID, p.Start)
	if err != nil {
		vs.Changed()
		return
	}
	go func() {
		defer f.Close()
		if process.Wait(context.Background(), f) == nil {
			vs.Changed()
		}
	}()
}

// watchHolder reaps the holder and takes note when it ends on its own.
func (vs *Views) watchHolder(v *View) {
	vs.mu.Lock()
	f := v.pidfd
	vs.mu.Unlock()
	if f == nil {
		return
	}
	go func() {
		if process.Wait(context.Background(), f) != nil {
			return
		}
		// Ours to reap unless a daemon before us started it; then it is not a
		// child, and init's.
		_, _ = unix.Wait4(v.rec.Holder.PID, nil, unix.WNOHANG, nil)
		vs.mu.Lock()
		v.holderGone = true
		unexpected := !v.ended
		vs.mu.Unlock()
		if unexpected {
			vs.o.Log.Warn("the holder of a view has ended; the view goes with the last process in it", "view", v.rec.ID)
			vs.Changed()
		}
	}()
}

// sweep drops the sessions and managers that are over, and ends each view that
// has neither, that no login is on its way to, and that no process is in. It
// returns when to look again.
func (vs *Views) sweep(now time.Time) (next time.Duration) {
	next = sweepEvery
	type gone struct {
		v   *View
		ids []string
	}
	var changed []gone
	var idle []*View
	vs.mu.Lock()
	for _, v := range vs.views {
		if v.ended {
			continue
		}
		g := gone{v: v}
		v.rec.Sessions = slices.DeleteFunc(v.rec.Sessions, func(s journal.Session) bool {
			if live(s, v.rec.UID) {
				return false
			}
			g.ids = append(g.ids, s.ID)
			return true
		})
		if len(g.ids) > 0 {
			changed = append(changed, g)
			if v.Own() && len(v.rec.Sessions) == 0 {
				vs.keep(v) // its manager stays for a while, as that of user@.service does
			}
		}
		switch {
		case v.inUse():
		case v.Own() && now.Before(v.until):
			next = min(next, v.until.Sub(now)+time.Millisecond)
		case v.Own() && v.managed():
			vs.stopManager(v)
		case now.After(v.until) || v.holderGone:
			idle = append(idle, v)
		default:
			next = min(next, v.until.Sub(now)+time.Millisecond)
		}
	}
	vs.mu.Unlock()
	for _, g := range changed {
		if err := g.v.save(); err != nil {
			vs.o.Log.Error("a record could not be written", "error", err)
		}
		for _, id := range g.ids {
			vs.o.Event(api.Event{Kind: api.SessionRemoved, ID: id, UID: g.v.rec.UID})
		}
	}
	if len(idle) == 0 {
		return next
	}
	inside, err := process.ByMountNS()
	if err != nil {
		vs.o.Log.Error("cannot look for processes in views", "error", err)
		return next
	}
	for _, v := range idle {
		others := slices.DeleteFunc(inside[v.rec.MountNS], func(pid int) bool { return pid == v.rec.Holder.PID })
		if len(others) == 0 {
			vs.endIdle(v, now)
		}
	}
	return next
}

// endIdle ends v unless a login came for it meanwhile.
func (vs *Views) endIdle(v *View, now time.Time) {
	vs.mu.Lock()
	if v.ended || v.inUse() || !(now.After(v.until) || v.holderGone) {
		vs.mu.Unlock()
		return
	}
	v.ended = true
	vs.mu.Unlock()
	// Copying takes its time, and other views are to end meanwhile.
	vs.wg.Go(func() {
		if vs.park(v) {
			vs.finish(v)
		}
	})
}

// finish takes an ended view down: the holder, then its record, so that a
// daemon killed in between finds what is left.
func (vs *Views) finish(v *View) {
	if v.pidfd != nil {
		stop(v.pidfd, v.rec.Holder.PID)
	}
	vs.dropScope(v)
	v.journalled.Lock()
	defer v.journalled.Unlock()
	if err := vs.o.Journal.Remove(v.rec.ID); err != nil {
		vs.o.Log.Error("a record could not be removed", "error", err)
	}
	vs.mu.Lock()
	delete(vs.views, v.rec.ID)
	v.closeFiles()
	vs.mu.Unlock()
	vs.o.Log.Info("view ended", "view", v.rec.ID, "user", v.rec.User, "profile", v.rec.Profile)
	vs.o.Event(api.Event{Kind: api.ViewRemoved, ID: v.rec.ID, UID: v.rec.UID})
}

// dropScope has systemd forget the scope of an ended view. It does so by itself only
// where the kernel tells it that a cgroup is empty: not under cgroup v1 in a
// container, where scopes of ended views stayed until something else was looked at.
func (vs *Views) dropScope(v *View) {
	if v.adopted != nil {
		<-v.adopted
	}
	ctx, cancel := context.WithTimeout(context.Background(), adoptTimeout)
	defer cancel()
	if err := vs.o.Units.StopUnit(ctx, v.rec.Scope); err != nil {
		vs.o.Log.Warn("the scope of an ended view could not be stopped", "unit", v.rec.Scope, "error", err)
	}
}

// End ends every process in a view and then the view. It is what an
// administrator asks for, not what a logout does.
func (vs *Views) End(ctx context.Context, id string) error {
	v, err := vs.Get(id)
	if err != nil {
		return err
	}
	if v.Own() {
		// Before its processes, or it would start some of them again.
		if err := vs.o.Units.StopUnit(ctx, v.rec.Unit); err != nil {
			vs.o.Log.Warn("a user manager could not be stopped", "unit", v.rec.Unit, "error", err)
		}
	}
	for _, sig := range []unix.Signal{unix.SIGTERM, unix.SIGKILL} {
		empty, err := vs.clear(ctx, v, sig)
		if err != nil {
			return fmt.Errorf("end view %s: %w", id, err)
		}
		if empty {
			break
		}
	}
	vs.mu.Lock()
	already := v.ended
	v.ended = true
	ids := slices.Clone(v.rec.Sessions)
	vs.mu.Unlock()
	if already {
		return nil
	}
	vs.wg.Add(1) // a daemon that stops waits for it
	defer vs.wg.Done()
	if !vs.park(v) {
		return errors.New("the daemon is stopping")
	}
	for _, s := range ids {
		vs.o.Event(api.Event{Kind: api.SessionRemoved, ID: s.ID, UID: v.rec.UID})
	}
	vs.finish(v)
	return nil
}

// clear sends sig to all processes in v and waits until they are gone, for
// endTimeout at most.
func (vs *Views) clear(ctx context.Context, v *View, sig unix.Signal) (empty bool, err error) {
	for deadline := time.Now().Add(endTimeout); ; {
		all, err := process.ByMountNS()
		if err != nil {
			return false, err
		}
		left := 0
		for _, pid := range all[v.rec.MountNS] {
			if pid == v.rec.Holder.PID {
				continue
			}
			left++
			signalIn(pid, v.rec.MountNS, sig)
		}
		if left == 0 {
			return true, nil
		}
		if time.Now().After(deadline) {
			return false, nil
		}
		select {
		case <-ctx.Done():
			return false, ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// signalIn signals pid if it is in that namespace: by pidfd, looked at after
// it was opened, so that no other process can be meant.
func signalIn(pid int, ns uint64, sig unix.Signal) {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return
	}
	defer unix.Close(fd)
	if now, err := process.MountNS(pid); err == nil && now == ns {
		_ = unix.PidfdSendSignal(fd, sig, nil, 0) // one that has ended meanwhile is what was wanted
	}
}

// stop ends a holder: with SIGTERM, or if it does not obey, with SIGKILL.
func stop(pidfd *os.File, pid int) {
	for _, sig := range []unix.Signal{unix.SIGTERM, unix.SIGKILL} {
		if process.Signal(pidfd, sig) != nil {
			return
		}
		if ended(pidfd) {
			_, _ = unix.Wait4(pid, nil, unix.WNOHANG, nil)
			return
		}
	}
}

// ended waits for the process behind pidfd, for endTimeout at most.
func ended(pidfd *os.File) bool {
	raw, err := pidfd.SyscallConn()
	if err != nil {
		return true
	}
	n := 0
	_ = raw.Control(func(fd uintptr) {
		for deadline := time.Now().Add(endTimeout); ; {
			p := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
			left := time.Until(deadline)
			n, err = unix.Poll(p, int(max(left, 0)/time.Millisecond))
			if !errors.Is(err, unix.EINTR) {
				return
			}
		}
	})
	return n > 0
}
