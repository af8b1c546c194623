package registry

import (
	"context"
	"fmt"

	"ninefold/roots/image"
	"ninefold/roots/oci"
	"ninefold/roots/store"
)

// Import brings what Export wrote into the store, as Pull does from a registry, and names it by
// reference, or, when that is "", by what the layout calls it. from is where the layout lies, for
// people. An image of somebody else's is ErrNotOurs.
func Import(ctx context.Context, s *store.Store, files *oci.Files, from, reference string, o Options) (image.ID, string, error) {
	index, err := files.Index()
	if err != nil {
		return image.ID{}, "", err
	}
	if reference == "" && len(index.Manifests) == 1 {
		reference = index.Manifests[0].Annotations[oci.RefName]
	}
	if reference != "" && !image.ValidReference(reference) {
		return image.ID{}, "", fmt.Errorf("%w: it calls the image %.80q, which is no name here", ErrRefused, reference)
	}
	p := &pull{s: s, reading: reading{fileSource{files}, o.firstWait()}, accept: o.Accept}
	if reference == "" {
		if _, err := p.find(ctx); err != nil {
			return image.ID{}, "", err
		}
		return image.ID{}, "", fmt.Errorf("%w: it says no name for the image", ErrNameless)
	}
	id, err := p.run(ctx, from, reference)
	return id, reference, err
}
