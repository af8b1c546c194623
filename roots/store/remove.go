package store

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"ninefold/roots/image"
)

// collectImages removes the records of dead images, descendants first, and
// returns the live ones.
func (s *Store) collectImages(r *Report) (map[image.ID]*image.Manifest, error) {
	ids, err := s.Images()
	if err != nil {
		return nil, err
	}
	all := make(map[image.ID]*image.Manifest, len(ids))
	for _, id := range ids {
		if all[id], err = s.Image(id); err != nil {
			return nil, err
		}
	}
	live := map[image.ID]*image.Manifest{}
	keep := func(id image.ID) {
		for m := all[id]; m != nil && live[id] == nil; id, m = m.Parent, all[m.Parent] {
			live[id] = m
		}
	}
	// Claim every image first: while it is claimed nobody can lease or tag it.
	claims := map[image.ID]*os.File{}
	defer func() {
		for _, f := range claims {
			f.Close()
		}
	}()
	var leased []image.ID
	for id := range all {
		f, err := s.claim(id)
		if err != nil {
			return nil, err
		}
		if f == nil {
			keep(id)
			leased = append(leased, id)
			continue
		}
		claims[id] = f
	}
	tags, err := s.Tags()
	if err != nil {
		return nil, err
	}
	tagged := map[image.ID]bool{}
	for _, id := range tags {
		keep(id)
		tagged[id] = true
	}
	for _, id := range leased {
		if !tagged[id] {
			r.Kept = append(r.Kept, id)
		}
	}
	// The living can be leased again.
	for id := range live {
		if f := claims[id]; f != nil {
			f.Close()
			delete(claims, id)
		}
	}
	for len(claims) > 0 {
		for id := range claims {
			if hasChild(all, id) {
				continue
			}
			if err := s.removeImage(id); err != nil {
				return nil, err
			}
			r.Images = append(r.Images, id)
			claims[id].Close()
			delete(claims, id)
			delete(all, id)
		}
	}
	return live, nil
}

func hasChild(all map[image.ID]*image.Manifest, id image.ID) bool {
	for _, m := range all {
		if m.Parent == id {
			return true
		}
	}
	return false
}

func (s *Store) removeImage(id image.ID) error {
	if err := os.Remove(s.path("images", id.String())); err != nil {
		return err
	}
	if err := os.Remove(s.path("finished", id.String())); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return os.Remove(s.leasePath(id))
}

// RemoveImage forgets image id now, without a collection: its tags, its record
// and what was composed of it. It fails if the image is leased or another image
// is built on it. Packages and objects stay until GC.
func (s *Store) RemoveImage(id image.ID) error {
	if !s.HasImage(id) {
		return fmt.Errorf("image %s: %w", id.Short(), ErrNotFound)
	}
	// PutImage leases the parent: with the claim no descendant can come any more.
	f, err := s.claim(id)
	if err != nil {
		return s.explain(err)
	}
	if f == nil {
		return fmt.Errorf("image %s: a session or a build uses it: %w", id.Short(), ErrBusy)
	}
	defer f.Close()
	if m, err := s.child(id); err != nil {
		return err
	} else if m != nil {
		return fmt.Errorf("image %s: image %s (%s) is built on it: %w", id.Short(), m.Name, m.ID().Short(), ErrBusy)
	}
	tags, err := s.Tags()
	if err != nil {
		return err
	}
	for name, to := range tags {
		if to == id {
			if err := s.Untag(name); err != nil && !errors.Is(err, ErrNotFound) {
				return err
			}
		}
	}
	if err := s.removeImage(id); err != nil {
		return s.explain(err)
	}
	return s.explain(s.removeComposed(id))
}

// child returns an image that is built on image id; nil when there is none.
func (s *Store) child(id image.ID) (*image.Manifest, error) {
	ids, err := s.Images()
	for _, other := range ids {
		if m, err := s.Image(other); err == nil && m.Parent == id {
			return m, nil
		}
	}
	return nil, err
}

func (s *Store) removeComposed(id image.ID) error {
	for _, dir := range []string{"composefs", "farm"} {
		all, err := names(s.path(dir))
		if err != nil {
			return err
		}
		for _, name := range all {
			if strings.HasPrefix(name, id.String()) {
				if err := removeTree(s.path(dir, name)); err != nil {
					return err
				}
			}
		}
	}
	return nil
}
