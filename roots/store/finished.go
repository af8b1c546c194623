package store

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"ninefold/roots/image"
	"ninefold/roots/pkg"
)

// SetFinished notes the packages that image id was finished with: the results
// of the finishing steps, which no manifest names. Collections keep them for as
// long as the image is there, so that its next build runs only the steps whose
// inputs changed.
func (s *Store) SetFinished(id image.ID, packages []pkg.Digest) error {
	sorted := slices.SortedFunc(slices.Values(packages), func(a, b pkg.Digest) int { return bytes.Compare(a[:], b[:]) })
	var text strings.Builder
	for _, d := range slices.Compact(sorted) {
		text.WriteString(d.String() + "\n")
	}
	// Stores of earlier versions have no such directory.
	if err := mkdir(s.path("finished")); err != nil {
		return s.explain(err)
	}
	return s.explain(s.write("finished/"+id.String(), seal("finished", []byte(text.String())), false))
}

// Finished returns what SetFinished noted, as far as the packages are there.
// A damaged note, or none, is as good as an empty one: the steps run again. Of a
// note of a newer version nobody knows what it needs: the error wraps ErrVersion.
func (s *Store) Finished(id image.ID) ([]*pkg.Package, error) {
	ids, err := s.finished(id)
	if err != nil {
		return nil, s.explain(err)
	}
	var list []*pkg.Package
	for _, d := range ids {
		if p, err := s.Package(d); err == nil {
			list = append(list, p)
		}
	}
	return list, nil
}

func (s *Store) finished(id image.ID) ([]pkg.Digest, error) {
	b, err := readFile(s.path("finished", id.String()))
	if err != nil {
		if errors.Is(err, os.ErrNotExist) || errors.Is(err, ErrDamaged) {
			err = nil
		}
		return nil, err
	}
	ids, err := parseFinished(b)
	if errors.Is(err, ErrDamaged) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("finishing steps of image %s: %w", id.Short(), err)
	}
	return ids, nil
}

// parseFinished is the strict inverse of what SetFinished writes.
func parseFinished(b []byte) ([]pkg.Digest, error) {
	b, err := unseal("finished", b)
	if err != nil {
		return nil, err
	}
	var ids []pkg.Digest
	for line := range strings.Lines(string(b)) {
		hex, whole := strings.CutSuffix(line, "\n")
		d, err := pkg.ParseDigest(hex)
		if err != nil || !whole || len(ids) > 0 && bytes.Compare(ids[len(ids)-1][:], d[:]) >= 0 {
			return nil, fmt.Errorf("%w: no list of packages", ErrDamaged)
		}
		ids = append(ids, d)
	}
	return ids, nil
}

// keepFinished adds to packages what the live images were finished with, as far
// as it can be read: what is damaged is collected, so that the step makes it anew.
func (s *Store) keepFinished(live map[image.ID]*image.Manifest, packages map[pkg.Digest]bool) error {
	for id := range live {
		ids, err := s.finished(id)
		if err != nil {
			return err
		}
		for _, d := range ids {
			if !packages[d] {
				if _, err := s.Package(d); err == nil {
					packages[d] = true
				}
			}
		}
	}
	return nil
}

// collectFinished removes the notes of images that are gone.
func (s *Store) collectFinished() error {
	ids, err := digests(s.path("finished"))
	for _, id := range ids {
		if !s.HasImage(id) {
			err = errors.Join(err, os.Remove(s.path("finished", id.String())))
		}
	}
	return err
}
