package views

import (
	"context"
	"errors"
	"time"

	"ninefold/internal/record"
	"ninefold/namespaces/plan"
	"ninefold/sessiond/journal"
	"ninefold/sessiond/process"
)

// Recover finds the views that an earlier daemon left: it takes over those
// that live and removes the records of the others. It is called once, before
// anything else. ctx is that of the daemon.
func (vs *Views) Recover(ctx context.Context) error {
	records, problems, err := vs.o.Journal.Read()
	if err != nil {
		return err
	}
	for _, p := range problems {
		vs.o.Log.Error("the record of a view cannot be used", "view", p.ID, "error", p.Err)
		if errors.Is(p.Err, record.ErrDamaged) {
			_ = vs.o.Journal.Remove(p.ID) // tried again at the next start
		}
	}
	var homeless, over []*View
	for _, r := range records {
		v, why := vs.takeOver(r)
		if v == nil {
			vs.o.Log.Info("a view is over", "view", r.ID, "user", r.User, "profile", r.Profile, "why", why)
			if err := vs.o.Journal.Remove(r.ID); err != nil {
				vs.o.Log.Error("a record could not be removed", "error", err)
			}
			over = append(over, &View{vs: vs, rec: *r})
			continue
		}
		vs.mu.Lock()
		vs.views[r.ID] = v
		vs.mu.Unlock()
		if !v.holderGone {
			homeless = append(homeless, v)
		}
		vs.watchHolder(v)
		if r.Manager.PID != 0 {
			vs.watchLeader(r.Manager)
		}
		for _, s := range r.Sessions {
			vs.watchLeader(s.Leader)
		}
		vs.o.Log.Info("view found again", "view", r.ID, "user", r.User, "profile", r.Profile)
	}
	// Most have their scope; asking for the others must not delay the first login.
	vs.wg.Go(func() {
		for _, v := range homeless {
			if ctx.Err() == nil {
				vs.adopt(ctx, v)
			}
		}
		for _, v := range over {
			if ctx.Err() == nil {
				vs.dropScope(v)
			}
		}
	})
	vs.Changed()
	return nil
}

// takeOver opens what a record names: by its holder, or if that was killed, by
// a process of the view that the record knows. Each is told by pid and start
// time, and has to be in the namespace of the record.
func (vs *Views) takeOver(r *journal.Record) (*View, string) {
	if r.MountNS == 0 {
		return nil, "the daemon ended while it was being made"
	}
	candidates := []journal.Process{r.Holder, r.Manager}
	for _, s := range r.Sessions {
		candidates = append(candidates, s.Leader)
	}
	for i, p := range candidates {
		pidfd, err := process.Open(p.PID, p.Start)
		if err != nil {
			continue
		}
		ns, mount, err := openNamespaces(p.PID, r.Isolated)
		// Still the process that was opened: its number was not free meanwhile.
		if err == nil && mount == r.MountNS && process.Alive(p.PID, p.Start) {
			v := &View{vs: vs, rec: *r, until: time.Now().Add(vs.o.Grace), ns: ns, pidfd: pidfd, holderGone: i > 0}
			if p, err := plan.Parse(r.ID, []byte(r.Plan)); err == nil && len(p.Ops) > 1 {
				v.kept = keepsRoot(p)
			}
			if v.holderGone {
				pidfd.Close()
				v.pidfd = nil
			} else {
				v.layers = heldLayers(p)
			}
			return v, ""
		}
		for _, n := range ns {
			n.file.Close()
		}
		pidfd.Close()
	}
	return nil, "its holder has ended, and no session is in it"
}
