package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"

	"ninefold/roots/image"
	"ninefold/roots/pkg"
)

// maxChain bounds inheritance; a longer chain is a mistake.
const maxChain = 64

// PutImage stores a manifest and returns its id, after a Sync. Its parent and
// its packages must be in the store. A record with this id is replaced: name and lock may differ.
// From then on the image counts as built here.
func (s *Store) PutImage(m *image.Manifest) (image.ID, error) {
	id, err := s.putImage(m)
	if err == nil {
		err = s.explain(s.forgetOrigin(id))
	}
	return id, err
}

func (s *Store) putImage(m *image.Manifest) (image.ID, error) {
	b, err := m.Encode()
	if err != nil {
		return image.ID{}, err
	}
	id := m.ID()
	if !m.Parent.IsZero() {
		if _, err := s.Image(m.Parent); err != nil {
			return image.ID{}, fmt.Errorf("image %s: its parent: %w", m.Name, err)
		}
		// It must not be removed before the record that names it is there.
		lease, err := s.Lease(m.Parent)
		if err != nil {
			return image.ID{}, fmt.Errorf("image %s: its parent: %w", m.Name, err)
		}
		defer lease.Close()
	}
	if err := s.Sync(); err != nil {
		return image.ID{}, err
	}
	for _, d := range m.Digests() {
		if _, err := os.Lstat(s.path("packages", d.String())); err != nil {
			return image.ID{}, fmt.Errorf("image %s: package %s: %w", m.Name, d.Short(), ErrNotFound)
		}
	}
	// The renames of Sync must not come to disk after the record that needs them.
	if err := syncDir(s.path("packages")); err != nil {
		return image.ID{}, s.explain(err)
	}
	if err := s.makeLeaseFile(id); err != nil {
		return image.ID{}, s.explain(err)
	}
	if err := s.write("images/"+id.String(), seal("image", b), true); err != nil {
		return image.ID{}, s.explain(err)
	}
	return id, nil
}

// Image reads a manifest and checks that it is the one named id.
func (s *Store) Image(id image.ID) (*image.Manifest, error) {
	b, err := readFile(s.path("images", id.String()))
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("image %s: %w", id.Short(), ErrNotFound)
	}
	if err != nil {
		return nil, s.explain(err)
	}
	if b, err = unseal("image", b); err != nil {
		return nil, fmt.Errorf("image %s: %w", id.Short(), err)
	}
	m, err := image.Decode(b)
	if err != nil {
		return nil, fmt.Errorf("image %s: %w", id.Short(), err)
	}
	if m.ID() != id {
		return nil, fmt.Errorf("image %s: %w: its record names another image", id.Short(), ErrDamaged)
	}
	return m, nil
}

// HasImage reports whether there is a record of image id.
func (s *Store) HasImage(id image.ID) bool {
	_, err := os.Lstat(s.path("images", id.String()))
	return err == nil
}

// Images lists the ids of all images, in no order.
func (s *Store) Images() ([]image.ID, error) {
	ids, err := digests(s.path("images"))
	return ids, s.explain(err)
}

// Chain returns the manifests of id and its ancestors, root first.
func (s *Store) Chain(id image.ID) ([]*image.Manifest, error) {
	var chain []*image.Manifest
	for !id.IsZero() {
		if len(chain) == maxChain {
			return nil, fmt.Errorf("image %s: more than %d ancestors", chain[0].Name, maxChain)
		}
		m, err := s.Image(id)
		if err != nil {
			if len(chain) > 0 {
				return nil, fmt.Errorf("image %s: its ancestor: %w", chain[0].Name, err)
			}
			return nil, err
		}
		chain = append(chain, m)
		id = m.Parent
	}
	slices.Reverse(chain)
	return chain, nil
}

// Built reads the packages of a chain, root first. The last manifest need not
// be in the store yet.
func (s *Store) Built(ctx context.Context, chain []*image.Manifest) ([]image.Built, error) {
	var ids []pkg.Digest
	for _, m := range chain {
		ids = append(ids, m.Digests()...)
	}
	packages, err := s.Packages(ctx, ids)
	if err != nil {
		return nil, fmt.Errorf("image %s: %w", chain[len(chain)-1].Name, err)
	}
	var built []image.Built
	for _, m := range chain {
		n := len(m.Packages)
		b := image.Built{Manifest: m, Packages: packages[:n:n]}
		packages = packages[n:]
		if !m.Finishing.IsZero() {
			b.Finishing = packages[0]
			packages = packages[1:]
		}
		built = append(built, b)
	}
	return built, nil
}
