package registry

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"

	"ninefold/roots/pkg"
	"ninefold/roots/store"
)

// readLayer puts the contents of p's files into the store from the tar in r.
// What a file is, and what it holds, is what p says; the tar only carries the bytes.
func readLayer(ctx context.Context, s *store.Store, p *pkg.Package, r io.Reader) error {
	t := tar.NewReader(r)
	for n := 0; ; n++ {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if n >= len(p.Entries) {
			return fmt.Errorf("%w: package %s: its layer holds more than its record", ErrRefused, p.Name)
		}
		if h.Typeflag != tar.TypeReg {
			continue
		}
		e := p.Entry(h.Name)
		if e == nil || e.Kind != pkg.File || e.Link != "" || e.Size != h.Size {
			return fmt.Errorf("%w: package %s: its layer holds %q of %d bytes, and its record does not", ErrRefused, p.Name, h.Name, h.Size)
		}
		d, _, err := s.Put(ctx, t)
		if err != nil {
			return err
		}
		if d != e.Digest {
			return fmt.Errorf("%w: package %s: /%s has the digest %s, and its record names %s", ErrRefused, p.Name, e.Path, d.Short(), e.Digest.Short())
		}
	}
}
