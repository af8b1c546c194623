package registry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"runtime"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"ninefold/roots/deb"
	"ninefold/roots/oci"
	"ninefold/roots/pkg"
)

// Bounds of a container's image.
const (
	maxLayers = 1024
	maxNested = 4 // of indexes
)

// Container is an image of containers, whoever made it. Nothing of its layers has
// been read.
type Container struct {
	// Reference is what it is called where it lies, "" when it is not.
	Reference string
	// Digest names it: that of its manifest, or, of what docker save writes, of its
	// configuration.
	Digest       v1.Hash
	Architecture string
	Environment  []string // "NAME=value"
	Layers       []deb.Layer
}

// Remote finds the image at a reference as container engines read it: without a
// registry it is Docker Hub's, without a tag the one called latest.
func Remote(ctx context.Context, reference string, o Options) (*Container, error) {
	ref, err := name.ParseReference(reference)
	if err != nil {
		return nil, fmt.Errorf("reference %q: %w", reference, err)
	}
	from, err := newRemote(ref, options(ref, o))
	if err != nil {
		return nil, err
	}
	c, err := containerOf(ctx, from)
	if err != nil {
		return nil, fmt.Errorf("image %s: %w", reference, err)
	}
	// What people write, and not where Docker Hub answers.
	c.Reference = strings.TrimPrefix(ref.Context().Name(), "index.")
	if tag, ok := ref.(name.Tag); ok {
		c.Reference += ":" + tag.TagStr()
	}
	return c, nil
}

// File finds the image in a layout, or in what docker save wrote.
func File(ctx context.Context, files *oci.Files) (*Container, error) {
	index, err := files.Index()
	if errors.Is(err, fs.ErrNotExist) {
		return savedContainer(files)
	}
	if err != nil {
		return nil, err
	}
	c, err := containerOf(ctx, fileSource{Files: files})
	if err == nil && len(index.Manifests) == 1 {
		c.Reference = index.Manifests[0].Annotations[oci.RefName]
	}
	return c, err
}

// containerOf finds the image for this machine.
func containerOf(ctx context.Context, from source) (*Container, error) {
	media, raw, err := from.top(ctx)
	if err != nil {
		return nil, err
	}
	for depth := 0; media.IsIndex(); depth++ {
		if err := bounded(raw, maxManifestThings); err != nil {
			return nil, fmt.Errorf("its index: %w", err)
		}
		index, err := v1.ParseIndexManifest(bytes.NewReader(raw))
		if err != nil {
			return nil, fmt.Errorf("%w: its index: %w", ErrRefused, err)
		}
		next, err := choose(index.Manifests)
		if err != nil {
			return nil, err
		}
		if depth == maxNested {
			return nil, fmt.Errorf("%w: indexes within %d indexes", ErrRefused, maxNested)
		}
		if raw, err = from.manifest(ctx, next.Digest); err != nil {
			return nil, err
		}
		media = next.MediaType
	}
	if !media.IsImage() {
		return nil, fmt.Errorf("%w: it is of type %s, and no image of containers", ErrRefused, media)
	}
	if err := bounded(raw, maxManifestThings); err != nil {
		return nil, fmt.Errorf("its manifest: %w", err)
	}
	m, err := v1.ParseManifest(bytes.NewReader(raw))
	if err != nil {
		return nil, fmt.Errorf("%w: its manifest: %w", ErrRefused, err)
	}
	config, err := whole(ctx, from, m.Config.Digest)
	if err != nil {
		return nil, fmt.Errorf("its configuration: %w", err)
	}
	var opens []func(context.Context) (io.ReadCloser, error)
	for _, l := range m.Layers {
		if !l.MediaType.IsLayer() {
			return nil, fmt.Errorf("%w: a layer of type %s", ErrRefused, l.MediaType)
		}
		opens = append(opens, func(ctx context.Context) (io.ReadCloser, error) { return from.blob(ctx, l.Digest) })
	}
	digest, _, err := v1.SHA256(bytes.NewReader(raw))
	if err != nil {
		return nil, err
	}
	return newContainer(digest, config, opens)
}

// choose finds the manifest for this machine; one that does not say for which
// machine it is has to be the only one.
func choose(list []v1.Descriptor) (v1.Descriptor, error) {
	var there []string
	var plain []v1.Descriptor
	for _, d := range list {
		switch {
		case d.ArtifactType != "" && !types.MediaType(d.ArtifactType).IsConfig():
		case d.Platform == nil:
			plain = append(plain, d)
		case d.Platform.OS == "linux" && d.Platform.Architecture == runtime.GOARCH:
			return d, nil
		default:
			there = append(there, d.Platform.String())
		}
	}
	if len(plain) == 1 {
		return plain[0], nil
	}
	slices.Sort(there)
	return v1.Descriptor{}, fmt.Errorf("%w: want one image for linux/%s; there are %d that do not say, and those for: %s",
		ErrPlatform, runtime.GOARCH, len(plain), strings.Join(slices.Compact(there), " "))
}

// whole reads a small blob.
func whole(ctx context.Context, from source, digest v1.Hash) ([]byte, error) {
	r, err := from.blob(ctx, digest)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	b, err := io.ReadAll(io.LimitReader(r, maxManifest+1))
	if err == nil && len(b) > maxManifest {
		err = fmt.Errorf("%w: blob %s: more than %d bytes", ErrRefused, digest, maxManifest)
	}
	return b, err
}

func savedContainer(files *oci.Files) (*Container, error) {
	saved, err := files.Saved()
	if err != nil {
		return nil, err
	}
	var opens []func(context.Context) (io.ReadCloser, error)
	for _, l := range saved.Layers {
		opens = append(opens, func(context.Context) (io.ReadCloser, error) {
			r, _, err := files.Open(l)
			return r, err
		})
	}
	digest, _, err := v1.SHA256(bytes.NewReader(saved.Config))
	if err != nil {
		return nil, err
	}
	c, err := newContainer(digest, saved.Config, opens)
	if err == nil && len(saved.Names) == 1 {
		c.Reference = saved.Names[0]
	}
	return c, err
}

// newContainer checks the configuration: it names the digest of each layer as it is
// without compression.
func newContainer(digest v1.Hash, config []byte, opens []func(context.Context) (io.ReadCloser, error)) (*Container, error) {
	if err := bounded(config, maxManifestThings); err != nil {
		return nil, fmt.Errorf("its configuration: %w", err)
	}
	c, err := v1.ParseConfigFile(bytes.NewReader(config))
	if err != nil {
		return nil, fmt.Errorf("%w: its configuration: %w", ErrRefused, err)
	}
	if c.OS != "linux" || c.Architecture != runtime.GOARCH {
		return nil, fmt.Errorf("%w: it is for %.40q on %.40q, and this is linux on %s", ErrPlatform, c.OS, c.Architecture, runtime.GOARCH)
	}
	if len(opens) > maxLayers || len(opens) != len(c.RootFS.DiffIDs) {
		return nil, fmt.Errorf("%w: %d layers, and its configuration names %d; at most %d can be read", ErrRefused, len(opens), len(c.RootFS.DiffIDs), maxLayers)
	}
	out := &Container{Digest: digest, Architecture: c.Architecture, Environment: c.Config.Env}
	for i, open := range opens {
		sum, err := pkg.ParseDigest(c.RootFS.DiffIDs[i].Hex)
		if err != nil || sum.IsZero() {
			return nil, fmt.Errorf("%w: its configuration: layer %d has the digest %.80q", ErrRefused, i+1, c.RootFS.DiffIDs[i])
		}
		out.Layers = append(out.Layers, deb.Layer{Name: fmt.Sprint(i + 1), Open: open, Sum: sum})
	}
	return out, nil
}
