package guests

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"ninefold/namespaces"
	"ninefold/namespaces/plan"
	"ninefold/sessiond/decided"
)

// Run has a guest in: it takes a session that a pool has prepared, or makes the one
// that was decided in s (s.Guest is not 0) for somebody new and has tried what must
// fail in it; lets the command in, and looks afterwards for what is left. An error
// means that nobody was let in, or that something may be left.
func (g *Guests) Run(ctx context.Context, s *decided.Session, r decided.Request) (status namespaces.Status, err error) {
	r.Dir = "" // a guest has none of the caller's
	held, err := g.slot()
	if err != nil {
		return status, err
	}
	defer held.give()
	if p := g.takePrepared(s); p != nil {
		return p.Run(ctx, r)
	}
	if err := g.readyHome(ctx, s.Plan); err != nil {
		return status, fmt.Errorf("profile %s: %w", s.Profile, err)
	}
	for range maxTries {
		if status, err = g.runOnce(ctx, s, r); !errors.Is(err, errInUse) {
			break
		}
	}
	return status, err
}

// maxTries is how many ids are tried that something has after all.
const maxTries = 8

func (g *Guests) runOnce(ctx context.Context, s *decided.Session, r decided.Request) (status namespaces.Status, err error) {
	guest, err := g.Begin(ctx, s.Profile)
	if err != nil {
		return status, err
	}
	// A caller's thread that made the session sees the session's objects.
	defer func() { err = errors.Join(err, <-sideways(guest.End)) }()
	own := *s
	own.Plan = guest.plan(s)
	if r.Guard, err = guest.Guard(); err != nil {
		return status, err
	}
	status, err = own.Run(ctx, r)
	return status, inHome(err)
}

// plan is that of the guest's own session.
func (g *Guest) plan(s *decided.Session) *plan.Plan { return Bound(s.Plan.ForGuest(s.Guest, g.UID)) }

// share is a guest's part of the processors and the disks where others want them
// too, who have 100 each (cgroup-v2 in the kernel's documentation).
const share = 20

// Bound bounds what a guest takes of the machine, where its plan does not and the
// machine can: half of its memory, and tasks; no swap, where what was in memory
// would be on a disk; and a small share of processors and disks. p is left as it is.
func Bound(p *plan.Plan) *plan.Plan {
	out := &plan.Plan{Class: p.Class, Ops: slices.Clone(p.Ops)}
	for _, l := range bounds() {
		at := slices.IndexFunc(out.Ops, func(op plan.Op) bool { _, ok := op.(plan.Limit); return ok })
		said := slices.ContainsFunc(out.Ops, func(op plan.Op) bool { have, ok := op.(plan.Limit); return ok && have.Name == l.Name })
		if at >= 0 && !said && namespaces.CanLimit(l.Name) {
			out.Ops = slices.Insert(out.Ops, at, plan.Op(l))
		}
	}
	return out
}
