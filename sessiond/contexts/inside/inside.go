// Package inside enters host contexts: it makes their roots live, lets several
// people into one, and takes it down behind the last. It runs what is decided, and
// links nothing that decides: entering is to take as long as a session does.
package inside

import (
	"context"
	"errors"
	"os"

	"ninefold/namespaces/plan"
	"ninefold/roots/contexts"
	"ninefold/sessiond/decided"
)

// Decide says by which steps the root of a context over one of its layers is made.
// The range of ids in it is any. What hold has keeps what is below, for as long as it
// is open; it is the caller's.
type Decide func(ctx context.Context, r contexts.Record, layer string) (p *plan.Plan, hold []*os.File, err error)

// Roots are the live roots of the contexts in a store.
type Roots struct {
	store  *contexts.Store
	decide Decide
	over   Over
}

// Of returns the roots of the contexts in a store.
func Of(store *contexts.Store, decide Decide) *Roots { return &Roots{store: store, decide: decide} }

// Over runs f with the root that a context lies over, as whose it is may read it.
type Over func(ctx context.Context, r contexts.Record, f func(root string) error) error

// Through has contexts of users compared with what their users may read.
func (i *Roots) Through(over Over) *Roots {
	i.over = over
	return i
}

// ErrUndecided says that nothing that was decided before holds for a context.
var ErrUndecided = errors.New("its root is to be decided anew")

// Decided decides by what was kept in a state directory, for the question whose
// Profile is to be filled in.
func Decided(state string, q decided.Question) Decide {
	return func(_ context.Context, r contexts.Record, layer string) (*plan.Plan, []*os.File, error) {
		if r.Stands.Elsewhere() {
			return nil, nil, ErrUndecided
		}
		q.Profile = Name(r, layer)
		if s := decided.Find(decided.Dir(state), q.Ask()); s != nil {
			return s.Plan, nil, nil
		}
		return nil, nil, ErrUndecided
	}
}

// Name is what kept decisions call the root of a context over one of its layers.
func Name(r contexts.Record, layer string) string {
	return "context:" + r.Name + ":" + r.ID + ":" + layer
}

const (
	// Status is dpkg's list of packages, which a machine without it lacks.
	Status = "/var/lib/dpkg/status"
	// HeardDir is where a layer has what package scripts asked of the machine, in
	// HeardFile.
	HeardDir = "heard"
	// HeardFile is a text of lines, which whoever is in the context can write.
	HeardFile = "asked"
)
