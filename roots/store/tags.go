package store

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"ninefold/roots/image"
	"ninefold/roots/pkg"
)

// minPrefix is how many hex digits of an id name it, if no other begins with them.
const minPrefix = 4

// Tag lets name stand for image id, in place of what it stood for. Tagged
// images and their ancestors are kept by GC.
func (s *Store) Tag(name string, id image.ID) error {
	if !image.ValidName(name) {
		return fmt.Errorf("tag %q: want a-z, 0-9, dot, dash and underscore, beginning with a letter or digit", name)
	}
	// The lease keeps a collection from taking the image while the tag is written.
	lease, err := s.Lease(id)
	if err != nil {
		return err
	}
	defer lease.Close()
	return s.explain(s.write("tags/"+name, seal("tag", []byte(id.String()+"\n")), true))
}

// Untag forgets a name. The image stays until a GC.
func (s *Store) Untag(name string) error {
	if !image.ValidName(name) {
		return fmt.Errorf("tag %q: %w", name, ErrNotFound)
	}
	err := os.Remove(s.path("tags", name))
	if errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("tag %q: %w", name, ErrNotFound)
	}
	if err == nil {
		err = syncDir(s.path("tags"))
	}
	return s.explain(err)
}

// Tags returns all names and what they stand for.
func (s *Store) Tags() (map[string]image.ID, error) {
	all, err := names(s.path("tags"))
	if err != nil {
		return nil, s.explain(err)
	}
	tags := make(map[string]image.ID, len(all))
	for _, name := range all {
		if !image.ValidName(name) {
			continue
		}
		id, err := s.tag(name)
		if errors.Is(err, ErrNotFound) {
			continue // untagged in this moment
		}
		if err != nil {
			return nil, err
		}
		tags[name] = id
	}
	return tags, nil
}

func (s *Store) tag(name string) (image.ID, error) {
	b, err := readFile(s.path("tags", name))
	if errors.Is(err, os.ErrNotExist) {
		return image.ID{}, fmt.Errorf("image %q: %w", name, ErrNotFound)
	}
	if err != nil {
		return image.ID{}, s.explain(err)
	}
	if b, err = unseal("tag", b); err != nil {
		return image.ID{}, fmt.Errorf("tag %s: %w", name, err)
	}
	id, err := pkg.ParseDigest(strings.TrimSuffix(string(b), "\n"))
	if err != nil {
		return image.ID{}, fmt.Errorf("tag %s: %w: %w", name, ErrDamaged, err)
	}
	return id, nil
}

// Resolve finds an image by its tag, its id, or four or more digits that
// its id alone begins with. A tag wins over a prefix.
func (s *Store) Resolve(name string) (image.ID, error) {
	if image.ValidName(name) {
		id, err := s.tag(name)
		if err == nil || !errors.Is(err, ErrNotFound) {
			return id, err
		}
	}
	if id, err := pkg.ParseDigest(name); err == nil && s.HasImage(id) {
		return id, nil
	}
	notFound := fmt.Errorf("image %q: %w", name, ErrNotFound)
	if len(name) < minPrefix {
		return image.ID{}, notFound
	}
	ids, err := s.Images()
	if err != nil {
		return image.ID{}, err
	}
	var found []image.ID
	for _, id := range ids {
		if strings.HasPrefix(id.String(), name) {
			found = append(found, id)
		}
	}
	switch len(found) {
	case 0:
		return image.ID{}, notFound
	case 1:
		return found[0], nil
	}
	return image.ID{}, fmt.Errorf("image %q: %d images begin with it: %w", name, len(found), ErrAmbiguous)
}
