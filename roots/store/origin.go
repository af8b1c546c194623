package store

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"

	"ninefold/roots/image"
)

// maxReferences is how many names one image may have come by.
const maxReferences = 64

// Origin says how an image came into the store from outside. An image without
// one was built here.
type Origin struct {
	// From is the registry, file or directory that it came from, for people.
	From string `json:"from"`
	// References are the names by which it came, sorted; an ancestor's are those
	// of the image that it came with. A name that is among them was given by
	// whoever made the image; another one by root here.
	References []string `json:"references,omitempty"`
}

// PutPulled stores a manifest as PutImage does, for an image that came from
// outside: its origin is on disk before the image can be seen. An image that was
// built here too stays one that was built here. One that is there
// already gets the references of o besides its own.
func (s *Store) PutPulled(m *image.Manifest, o Origin) (image.ID, error) {
	for _, r := range o.References {
		if !image.ValidReference(r) {
			return image.ID{}, fmt.Errorf("image %s: %q is not a reference", m.Name, r)
		}
	}
	id := m.ID()
	have, err := s.Origin(id)
	if err != nil {
		return id, err
	}
	if have == nil && s.HasImage(id) {
		return id, nil
	}
	if have != nil {
		o.References = append(o.References, have.References...)
	}
	slices.Sort(o.References)
	o.References = slices.Compact(o.References)
	if len(o.References) > maxReferences {
		return id, fmt.Errorf("image %s: it came by more than %d names", m.Name, maxReferences)
	}
	b, err := json.Marshal(o)
	if err != nil {
		return id, err
	}
	if err := mkdir(s.path("origins")); err != nil {
		return id, s.explain(err)
	}
	if err := syncDir(s.dir); err != nil {
		return id, s.explain(err)
	}
	if err := s.write("origins/"+id.String(), seal("origin", b), true); err != nil {
		return id, s.explain(err)
	}
	return s.putImage(m)
}

// Origin returns where an image came from; nil for one that was built here. A
// damaged note is an error, so that nothing from outside counts as built here.
func (s *Store) Origin(id image.ID) (*Origin, error) {
	b, err := readFile(s.path("origins", id.String()))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err == nil {
		b, err = unseal("origin", b)
	}
	if err != nil {
		return nil, s.explain(fmt.Errorf("origin of image %s: %w", id.Short(), err))
	}
	o := &Origin{}
	if err := strict(b, o); err != nil {
		return nil, s.explain(fmt.Errorf("origin of image %s: %w", id.Short(), err))
	}
	return o, nil
}

// strict decodes one JSON value that this program wrote.
func strict(b []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	err := d.Decode(into)
	if err == nil && d.More() {
		err = errors.New("something follows the record")
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return nil
}

// forgetOrigin notes that image id was built here.
func (s *Store) forgetOrigin(id image.ID) error {
	err := os.Remove(s.path("origins", id.String()))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = syncDir(s.path("origins"))
	}
	return err
}
