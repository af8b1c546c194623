package registry

import (
	"context"

	"ninefold/roots/image"
	"ninefold/roots/pkg"
	"ninefold/roots/store"
)

// Sum is the digest of the index that Export writes of an image, but without
// signatures. The index names all else by digest, so images of the same sum are exported as the
// same bytes.
func Sum(ctx context.Context, s *store.Store, id image.ID) (pkg.Digest, error) {
	var to sumSink
	err := (&push{s: s, to: &to, unsigned: true}).do(ctx, id)
	return pkg.Digest(to), err
}

// sumSink has nothing, so that everything is packed, and keeps nothing but what the last
// thing is called.
type sumSink pkg.Digest

func (*sumSink) has(context.Context, Blob) (bool, error) { return false, nil }
func (*sumSink) blob(context.Context, *blob) error       { return nil }
func (*sumSink) manifest(context.Context, *blob) error   { return nil }
func (s *sumSink) top(_ context.Context, b *blob) error  { *s = sumSink(b.digest); return nil }
