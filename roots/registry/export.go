package registry

import (
	"context"

	"ninefold/roots/image"
	"ninefold/roots/oci"
	"ninefold/roots/store"
)

// Export writes image id and its ancestors as an OCI layout into the empty directory
// dir: the blobs and manifests that Push sends, and the same bytes each time. reference is what the
// layout calls the image.
func Export(ctx context.Context, s *store.Store, id image.ID, reference, dir string) error {
	w, err := oci.NewWriter(dir)
	if err != nil {
		return err
	}
	return send(ctx, s, id, &layoutSink{w, reference}, nil)
}

type layoutSink struct {
	w         *oci.Writer
	reference string
}

func (l *layoutSink) has(context.Context, Blob) (bool, error) { return false, nil }

func (l *layoutSink) blob(_ context.Context, b *blob) error {
	r, err := b.open()
	if err != nil {
		return err
	}
	defer r.Close()
	return l.w.Blob(hashOf(b.digest), r)
}

func (l *layoutSink) manifest(ctx context.Context, b *blob) error { return l.blob(ctx, b) }

func (l *layoutSink) top(ctx context.Context, b *blob) error {
	if err := l.blob(ctx, b); err != nil {
		return err
	}
	d := b.descriptor()
	if l.reference != "" {
		d.Annotations = map[string]string{oci.RefName: l.reference}
	}
	return l.w.Index(d)
}
