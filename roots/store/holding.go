package store

import (
	"bytes"
	"context"

	"ninefold/roots/pkg"
)

// Holding reads those of the packages that have an entry at path, and returns
// them in the order of ids; nil for the others. Of these the records are not
// checked, only searched: an encoding holds each path as it is.
func (s *Store) Holding(ctx context.Context, ids []pkg.Digest, path string) ([]*pkg.Package, error) {
	out := make([]*pkg.Package, len(ids))
	err := parallel(ctx, len(ids), func(i int) error {
		b, err := s.packageRecord(ids[i])
		if err != nil || !bytes.Contains(b, []byte(path)) {
			return err
		}
		p, err := s.Package(ids[i])
		if err == nil && p.Entry(path) != nil {
			out[i] = p
		}
		return err
	})
	return out, err
}
