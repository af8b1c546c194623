package views

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"ninefold/sessiond/identity"
	"ninefold/sessiond/process"
	"ninefold/sessiond/profile"
	"ninefold/sessiond/units"
)

// ErrNoSecond says that a view with a user manager of its own is not possible here.
var ErrNoSecond = errors.New("a second user manager is not possible")

const (
	// maxOwn bounds the views of one user with a manager of their own.
	maxOwn = 8
	// startTimeout bounds the start of a manager, beyond the login that waits.
	startTimeout = 20 * time.Second
	// stopEvery is how often a manager that does not stop is asked to.
	stopEvery = 10 * time.Second
)

// Own reports whether v has a user manager and a /run/user/UID of its own.
func (v *View) Own() bool { return v.rec.Unit != "" }

// AcquireOwn is Acquire for a view beside that of user@UID.service. Its manager
// begins to start; WaitManager says how that went.
func (vs *Views) AcquireOwn(ctx context.Context, u identity.User, p *profile.Profile) (*View, error) {
	if vs.o.ManagerProgram == nil {
		return nil, ErrNoSecond
	}
	dir := "/run/user/" + strconv.FormatUint(uint64(u.UID), 10)
	var st unix.Stat_t
	if err := unix.Lstat(dir, &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFDIR || st.Uid != u.UID {
		// It would be made on the host, in the way of logind.
		return nil, fmt.Errorf("%w: %s is not there", ErrNoSecond, dir)
	}
	k := key{u.UID, p.Name, true}
	vs.mu.Lock()
	full := vs.usable(k) == nil && vs.making[k] == nil && vs.ownOf(u.UID) >= maxOwn
	vs.mu.Unlock()
	if full {
		return nil, fmt.Errorf("%w: %s has %d already", ErrNoSecond, u.Name, maxOwn)
	}
	v, err := vs.acquire(ctx, k, u, p)
	if err == nil {
		vs.startManager(v)
	}
	return v, err
}

// ownOf counts what AcquireOwn made for uid, or is about to. vs.mu is held.
func (vs *Views) ownOf(uid uint32) (n int) {
	for _, v := range vs.views {
		if v.rec.UID == uid && v.Own() && !v.ended {
			n++
		}
	}
	for k := range vs.making {
		if k.uid == uid && k.own {
			n++
		}
	}
	return n
}

// managed reports whether v's manager runs or is on its way. vs.mu is held.
func (v *View) managed() bool {
	return process.Alive(v.rec.Manager.PID, v.rec.Manager.Start) || v.isStarting()
}

// Managed reports whether the manager that was let into v runs.
func (v *View) Managed() bool {
	v.vs.mu.Lock()
	defer v.vs.mu.Unlock()
	return process.Alive(v.rec.Manager.PID, v.rec.Manager.Start)
}

// Second reports whether views can have managers of their own here.
func (vs *Views) Second() bool { return vs.o.ManagerProgram != nil }

func (v *View) isStarting() bool {
	if v.starting == nil {
		return false
	}
	select {
	case <-v.starting:
		return false
	default:
		return true
	}
}

// startManager starts the manager of v unless it runs or is being started.
func (vs *Views) startManager(v *View) {
	vs.mu.Lock()
	defer vs.mu.Unlock()
	if v.ended || v.stopping || v.managed() || vs.stopping {
		return
	}
	done := make(chan struct{})
	v.starting = done
	// Nobody waits for it when the daemon ends: the unit goes on, and its process
	// asks the next daemon.
	go func() {
		defer vs.Changed()
		defer close(done)
		if v.adopted != nil {
			<-v.adopted // what the unit is ordered after
		}
		ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
		defer cancel()
		err := vs.o.Units.StartManager(ctx, units.UserManager{Unit: v.rec.Unit, UID: v.rec.UID, After: []string{v.rec.Scope},
			Description: "User manager of " + v.rec.User + " in profile " + v.rec.Profile, Argv: vs.o.ManagerProgram})
		if err != nil {
			vs.o.Log.Error("a view has no user manager", "view", v.rec.ID, "error", err)
		}
	}()
}

// WaitManager waits until the manager of v runs or has failed, or ctx ends. It
// returns whether it runs, and whether that is known.
func (v *View) WaitManager(ctx context.Context) (runs, known bool) {
	v.vs.mu.Lock()
	starting := v.starting
	v.vs.mu.Unlock()
	if starting != nil {
		select {
		case <-starting:
		case <-ctx.Done():
			return false, false
		}
	}
	return v.Managed(), true
}

// stopManager has systemd stop the manager of v, which no session is in any
// more. Its end is seen, and then v's. vs.mu is held.
func (vs *Views) stopManager(v *View) {
	if v.stopping {
		return
	}
	v.stopping = true
	unit := v.rec.Unit
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
		defer cancel()
		if err := vs.o.Units.StopUnit(ctx, unit); err != nil {
			vs.o.Log.Warn("a user manager could not be stopped", "unit", unit, "error", err)
			time.AfterFunc(stopEvery, func() {
				vs.mu.Lock()
				v.stopping = false
				vs.mu.Unlock()
				vs.Changed()
			})
		}
	}()
}

// OfUnit returns the view whose own user manager the unit of that view's id is.
func (vs *Views) OfUnit(id string, uid uint32) (*View, error) {
	v, err := vs.Get(id)
	if err != nil {
		return nil, err
	}
	if !v.Own() || v.rec.UID != uid {
		return nil, fmt.Errorf("view %s has no manager of uid %d: %w", id, uid, os.ErrNotExist)
	}
	return v, nil
}
