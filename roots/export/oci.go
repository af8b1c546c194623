package export

import (
	"context"
	"os"
	"path/filepath"

	"ninefold/roots/image"
	"ninefold/roots/oci"
	"ninefold/roots/registry"
	"ninefold/roots/store"
)

// archive writes an OCI layout as a tar. The layout lies in the store meanwhile,
// because its blobs' digests stand before the blobs.
func archive(ctx context.Context, s *store.Store, id image.ID, reference, to string) error {
	temp, remove, err := s.TempDir("export")
	if err != nil {
		return err
	}
	defer remove()
	dir := filepath.Join(temp, "layout")
	if err := registry.Export(ctx, s, id, reference, dir); err != nil {
		return err
	}
	return file(to, func(f *os.File) error { return oci.Archive(dir, &canceled{ctx, f}) })
}
