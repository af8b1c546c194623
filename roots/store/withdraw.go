package store

import (
	"errors"

	"ninefold/roots/image"
)

// Withdraw takes back what PutPulled put in, for images whose names were refused
// afterwards, children before parents. One that has a name, that somebody uses or
// that another image is built on stays. Packages and objects stay until GC.
func (s *Store) Withdraw(ids ...image.ID) error {
	var failed error
	for _, id := range ids {
		failed = errors.Join(failed, s.withdraw(id))
	}
	return failed
}

func (s *Store) withdraw(id image.ID) error {
	if !s.HasImage(id) {
		return nil
	}
	// Who names it, and who builds on it, leases it first.
	f, err := s.claim(id)
	if err != nil || f == nil {
		return s.explain(err)
	}
	defer f.Close()
	tags, err := s.Tags()
	if err != nil {
		return err
	}
	for _, to := range tags {
		if to == id {
			return nil
		}
	}
	if child, err := s.child(id); err != nil || child != nil {
		return err
	}
	if err := errors.Join(s.removeImage(id), s.removeComposed(id)); err != nil {
		return s.explain(err)
	}
	return s.explain(s.forgetOrigin(id))
}
