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
	p := &pull{s: s, reading: reading{fileSource{Files: files}, o.firstWait()}, accept: o.Accept}
	if reference == "" {
		if _, err := p.find(ctx); err != nil {
			return image.ID{}, "", err
		}
		return image.ID{}, "", fmt.Errorf("%w: it says no name for the image", ErrNameless)
	}
	id, err := p.run(ctx, from, reference)
	return id, reference, err
}

// References are the names of the images that a layout holds, in its order.
func References(files *oci.Files) ([]string, error) {
	index, err := files.Index()
	if err != nil {
		return nil, err
	}
	var out []string
	for _, one := range index.Manifests {
		name := one.Annotations[oci.RefName]
		if !image.ValidReference(name) {
			return nil, fmt.Errorf("%w: it calls an image %.80q, which is no name here", ErrRefused, name)
		}
		out = append(out, name)
	}
	return out, nil
}

// ImportNamed is Import of the image that a layout of several calls reference, by that name.
func ImportNamed(ctx context.Context, s *store.Store, files *oci.Files, from, reference string, o Options) (image.ID, error) {
	p := &pull{s: s, reading: reading{fileSource{files, reference}, o.firstWait()}, accept: o.Accept}
	return p.run(ctx, from, reference)
}
