package registry

import (
	"context"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"ninefold/roots/image"
	"ninefold/roots/oci"
	"ninefold/roots/store"
)

// Export writes image id and its ancestors as an OCI layout into the empty directory
// dir: the blobs and manifests that Push sends, and the same bytes each time. reference is what the
// layout calls the image.
func Export(ctx context.Context, s *store.Store, id image.ID, reference, dir string) error {
	return ExportAll(ctx, s, []Named{{id, reference}}, dir)
}

// Named is an image and what a layout calls it.
type Named struct {
	ID        image.ID
	Reference string
}

// ExportAll writes several images as Export writes one; what they share is there once.
func ExportAll(ctx context.Context, s *store.Store, images []Named, dir string) error {
	w, err := oci.NewWriter(dir)
	if err != nil {
		return err
	}
	var index []v1.Descriptor
	for _, i := range images {
		l := &layoutSink{w: w, reference: i.Reference}
		if err := send(ctx, s, i.ID, l, nil); err != nil {
			return err
		}
		index = append(index, l.image)
	}
	return w.Index(index...)
}

type layoutSink struct {
	w         *oci.Writer
	reference string
	image     v1.Descriptor // when all of it is there
}

func (l *layoutSink) has(_ context.Context, b Blob) (bool, error) {
	return l.w.Has(hashOf(b.Digest)), nil
}

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
	l.image = b.descriptor()
	if l.reference != "" {
		l.image.Annotations = map[string]string{oci.RefName: l.reference}
	}
	return nil
}
