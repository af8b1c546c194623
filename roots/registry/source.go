package registry

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	protocol "github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"ninefold/roots/oci"
)

// source is what an image is read from. Everything that a digest names is
// checked against it, a blob when it is read to its end.
type source interface {
	// top is the index or the manifest that the source as a whole stands for.
	top(ctx context.Context) (types.MediaType, []byte, error)
	manifest(ctx context.Context, digest v1.Hash) ([]byte, error)
	blob(ctx context.Context, digest v1.Hash) (io.ReadCloser, error)
}

type remoteSource struct {
	puller *remote.Puller
	ref    name.Reference
}

func newRemote(ref name.Reference, options []remote.Option) (*remoteSource, error) {
	puller, err := remote.NewPuller(options...)
	return &remoteSource{puller, ref}, err
}

func (r *remoteSource) top(ctx context.Context) (types.MediaType, []byte, error) {
	d, err := r.puller.Get(ctx, r.ref)
	if err != nil {
		return "", nil, err
	}
	return d.MediaType, d.Manifest, nil
}

func (r *remoteSource) manifest(ctx context.Context, digest v1.Hash) ([]byte, error) {
	d, err := r.puller.Get(ctx, r.ref.Context().Digest(digest.String()))
	if err != nil {
		return nil, err
	}
	return d.Manifest, nil
}

func (r *remoteSource) blob(ctx context.Context, digest v1.Hash) (io.ReadCloser, error) {
	l, err := r.puller.Layer(ctx, r.ref.Context().Digest(digest.String()))
	if err != nil {
		return nil, err
	}
	return l.Compressed()
}

// has asks whether the repository has a blob. Who may only write there, or asks
// for a repository that is yet to be made, hears no.
func (r *remoteSource) has(ctx context.Context, b Blob) (bool, error) {
	l, err := r.puller.Layer(ctx, r.ref.Context().Digest(hashOf(b.Digest).String()))
	if err != nil {
		return false, err
	}
	ok, err := partial.Exists(l)
	if denied(err) {
		return false, nil
	}
	return ok, err
}

// denied reports whether a registry answered that there is nothing, or nothing
// for us.
func denied(err error) bool {
	var e *protocol.Error
	return errors.As(err, &e) && slices.Contains([]int{http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound}, e.StatusCode)
}

// fileSource is a layout; of one with several images that which it calls by a name, if called is one.
type fileSource struct {
	*oci.Files
	called string
}

// top is the one thing that the layout holds or that is called so, or all of it as one index.
func (f fileSource) top(context.Context) (types.MediaType, []byte, error) {
	index, err := f.Index()
	if err != nil {
		return "", nil, err
	}
	for _, one := range index.Manifests {
		if len(index.Manifests) == 1 || f.called != "" && one.Annotations[oci.RefName] == f.called {
			b, err := f.Manifest(one.Digest)
			return one.MediaType, b, err
		}
	}
	b, err := json.Marshal(index)
	return types.OCIImageIndex, b, err
}

func (f fileSource) manifest(_ context.Context, digest v1.Hash) ([]byte, error) {
	return f.Manifest(digest)
}

func (f fileSource) blob(_ context.Context, digest v1.Hash) (io.ReadCloser, error) {
	return f.Blob(digest)
}

// indexOf reads the index that a source stands for.
func indexOf(ctx context.Context, from source) (*v1.IndexManifest, error) {
	media, raw, err := from.top(ctx)
	if err != nil {
		return nil, err
	}
	if !media.IsIndex() {
		return nil, fmt.Errorf("%w: it is of type %s", ErrNotOurs, media)
	}
	if err := bounded(raw, maxManifestThings); err != nil {
		return nil, fmt.Errorf("its index: %w", err)
	}
	index, err := v1.ParseIndexManifest(bytes.NewReader(raw))
	if err != nil {
		return nil, fmt.Errorf("%w: its index: %w", ErrRefused, err)
	}
	return index, nil
}
