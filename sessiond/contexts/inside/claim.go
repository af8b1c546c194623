package inside

import (
	"errors"
	"time"

	"ninefold/roots/contexts"
)

// Running reports whether somebody is in the context, or its root is still live.
func (i *Roots) Running(r contexts.Record) bool {
	l := i.live(r)
	if l == nil {
		return false
	}
	holder := l.open()
	if holder == nil {
		return false
	}
	holder.Close()
	return true
}

// Claim claims a context for a change. With force whoever is in it is thrown out.
func (i *Roots) Claim(r contexts.Record, force bool) (*contexts.Claim, error) {
	claim, err := i.claim(r, i.store.Claim, force)
	if err != nil {
		return nil, err
	}
	if err := i.thaw(r); err != nil {
		claim.Release()
		return nil, err
	}
	return claim, nil
}

// Delete removes a context for good.
func (i *Roots) Delete(r contexts.Record, force bool) error {
	claim, err := i.claim(r, i.store.ClaimToDelete, force)
	if err != nil {
		return err
	}
	defer claim.Release()
	return i.store.Delete(r)
}

func (i *Roots) claim(r contexts.Record, how func(contexts.Record) (*contexts.Claim, error), force bool) (*contexts.Claim, error) {
	claim, err := how(r)
	for tries := 0; force && errors.Is(err, contexts.ErrInUse) && tries < 100; tries++ {
		if err := i.stop(r); err != nil {
			return nil, err
		}
		time.Sleep(20 * time.Millisecond)
		claim, err = how(r)
	}
	if err != nil {
		return nil, err
	}
	if err := i.stop(r); err != nil {
		claim.Release()
		return nil, err
	}
	return claim, nil
}
