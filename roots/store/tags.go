package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"ninefold/roots/image"
	"ninefold/roots/pkg"
)

// minPrefix is how many hex digits of an id name it, if no other begins with them.
const minPrefix = 4

// Tag lets name stand for image id, in place of what it stood for. Tagged
// images and their ancestors are kept by GC.
func (s *Store) Tag(name string, id image.ID) error {
	if r, err := image.ParseReference(name); err != nil {
		return fmt.Errorf("tag: %w", err)
	} else if !r.Digest.IsZero() {
		return fmt.Errorf("tag %q: a name with a digest stands for that image and for no other", name)
	}
	// The lease keeps a collection from taking the image while the tag is written.
	lease, err := s.Lease(id)
	if err != nil {
		return err
	}
	defer lease.Close()
	return s.explain(s.write("tags/"+fileOf(name), seal("tag", []byte(id.String()+"\n")), true))
}

// Untag forgets a name. The image stays until a GC.
func (s *Store) Untag(name string) error {
	if !image.ValidReference(name) {
		return fmt.Errorf("tag %q: %w", name, ErrNotFound)
	}
	err := os.Remove(TagFile(s.dir, name))
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
	for _, file := range all {
		name := nameOf(file)
		if !image.ValidReference(name) {
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
	b, err := readFile(TagFile(s.dir, name))
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

// fileOf is how a reference is called in a directory: no reference holds a
// percent sign.
func fileOf(reference string) string { return strings.ReplaceAll(reference, "/", "%") }

func nameOf(file string) string { return strings.ReplaceAll(file, "%", "/") }

// TagFile is the file in the store of that directory that says what a
// reference stands for; it need not exist.
func TagFile(dir, reference string) string { return filepath.Join(dir, "tags", fileOf(reference)) }

// Resolve finds an image by its reference, its id, or four or more digits that
// its id alone begins with. A tag wins over a prefix. A reference with a digest is the
// image of that digest, whatever its tag stands for.
func (s *Store) Resolve(name string) (image.ID, error) {
	if r, err := image.ParseReference(name); err == nil {
		if !r.Digest.IsZero() {
			if s.HasImage(r.Digest) {
				return r.Digest, nil
			}
			return image.ID{}, fmt.Errorf("image %q: %w", name, ErrNotFound)
		}
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
