package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"ninefold/roots/image"
	"ninefold/roots/pkg"
)

// Seen is the newest version of a tag that was accepted here. It outlives the
// image and the tag, so that an older one is noticed after both are gone.
type Seen struct {
	// Version is that of the tag's statement.
	Version uint64 `json:"version"`
	// Image is what the tag stood for in this version.
	Image image.ID `json:"image"`
	// Key signed the statement.
	Key pkg.Digest `json:"key"`
}

// Seen returns the newest version of a reference, the zero Seen when there was none. A
// damaged record is an error: nobody would know what is old.
func (s *Store) Seen(reference string) (Seen, error) {
	var seen Seen
	b, err := readFile(s.path("seen", fileOf(reference)))
	if errors.Is(err, os.ErrNotExist) {
		return seen, nil
	}
	if err == nil {
		b, err = unseal("seen", b)
	}
	if err != nil {
		return seen, s.explain(fmt.Errorf("newest version of %s: %w", reference, err))
	}
	if err := strict(b, &seen); err != nil {
		return Seen{}, s.explain(fmt.Errorf("newest version of %s: %w", reference, err))
	}
	return seen, nil
}

// SetSeen asks accept whether to go from what was seen to something else, and
// records what it returns; no other process does so meanwhile.
func (s *Store) SetSeen(ctx context.Context, reference string, accept func(Seen) (Seen, error)) error {
	if !image.ValidReference(reference) {
		return fmt.Errorf("%q is not a reference", reference)
	}
	f, err := s.lockFile(ctx, "seen", unix.LOCK_EX)
	if err != nil {
		return s.explain(err)
	}
	defer f.Close()
	old, err := s.Seen(reference)
	if err != nil {
		return err
	}
	new, err := accept(old)
	if err != nil || new == old {
		return err
	}
	b, err := json.Marshal(new)
	if err != nil {
		return err
	}
	if err := mkdir(s.path("seen")); err != nil {
		return s.explain(err)
	}
	if err := syncDir(s.dir); err != nil {
		return s.explain(err)
	}
	return s.explain(s.write("seen/"+fileOf(reference), seal("seen", b), true))
}

// ForgetSeen forgets the newest version of a reference, so that an older one
// is accepted again: for who knows that the newer one was never meant.
func (s *Store) ForgetSeen(reference string) error {
	if !image.ValidReference(reference) {
		return fmt.Errorf("%q is not a reference", reference)
	}
	err := os.Remove(s.path("seen", fileOf(reference)))
	if errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("newest version of %s: %w", reference, ErrNotFound)
	}
	if err == nil {
		err = syncDir(s.path("seen"))
	}
	return s.explain(err)
}
