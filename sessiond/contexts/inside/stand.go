package inside

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"ninefold/roots/contexts"
)

// ErrOpen says that nothing can stand on a context now, since somebody is in it or is
// changing it.
var ErrOpen = errors.New("somebody is in it, or changes it")

const (
	// standPatience is how long Stand waits for who is in the context, who may just be
	// leaving: less than a login's second.
	standPatience = 500 * time.Millisecond
	// changePatience is how long it waits for others that claim it: logins that begin at
	// the same time do, for a moment each.
	changePatience = 5 * time.Second
)

// Stand keeps the state that a context is in, which it returns, as it is for as long
// as the files are open, by whoever has a copy of them. It is ErrOpen while somebody
// is in the context: an overlay must not be a layer while it is written to.
func (i *Roots) Stand(ctx context.Context, r contexts.Record) (now contexts.Record, held []*os.File, err error) {
	ctx, cancel := context.WithTimeout(ctx, changePatience)
	defer cancel()
	for begun := time.Now(); ; {
		claim, err := i.claim(r, i.store.ClaimToDelete, false)
		if err == nil {
			defer claim.Release()
			now = claim.Record()
			if err = i.store.Ready(ctx, now); err == nil {
				held, err = claim.Stand()
			}
			return now, held, err
		}
		if !errors.Is(err, contexts.ErrInUse) {
			return now, nil, err
		}
		open := fmt.Errorf("context %s: %w", r.Name, ErrOpen)
		if time.Since(begun) > standPatience && i.Running(r) {
			return now, nil, open
		}
		select {
		case <-ctx.Done():
			return now, nil, open
		case <-time.After(20 * time.Millisecond):
		}
	}
}
