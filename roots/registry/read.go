package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/klauspost/compress/zstd"

	"ninefold/roots/image"
	"ninefold/roots/pkg"
)

// reading reads from a source, and what a broken connection ended again.
type reading struct {
	from source
	wait time.Duration // before the first repetition
}

// found is what Ninefold keeps beside an image of containers.
type found struct {
	index    *v1.IndexManifest
	artifact *artifact
	document *Document
	chain    []*image.Manifest // root first
}

// find finds and reads what Ninefold keeps beside an image of containers.
func (p *reading) find(ctx context.Context) (*found, error) {
	there := &found{artifact: &artifact{}}
	var err error
	if there.index, err = indexOf(ctx, p.from); err != nil {
		return nil, err
	}
	for _, desc := range there.index.Manifests {
		if desc.ArtifactType != ArtifactType {
			continue
		}
		raw, err := p.from.manifest(ctx, desc.Digest)
		if err != nil {
			return nil, err
		}
		if err := bounded(raw, maxManifestThings); err != nil {
			return nil, fmt.Errorf("its manifest: %w", err)
		}
		m := there.artifact
		if err := json.Unmarshal(raw, m); err != nil || len(m.Layers) == 0 || m.Layers[0].MediaType != DocumentType {
			return nil, fmt.Errorf("%w: its manifest holds no document", ErrRefused)
		}
		d, err := pkg.ParseDigest(m.Layers[0].Digest.Hex)
		if err != nil {
			return nil, fmt.Errorf("%w: its manifest: %w", ErrRefused, err)
		}
		var text []byte
		err = p.again(ctx, func() (err error) {
			text, err = p.bytes(ctx, Blob{d, m.Layers[0].Size}, maxDocument)
			return err
		})
		if err != nil {
			return nil, err
		}
		there.document, there.chain, err = ParseDocument(text)
		return there, err
	}
	return nil, fmt.Errorf("%w: its index names none", ErrNotOurs)
}

// again repeats what a broken connection ended.
func (p *reading) again(ctx context.Context, f func() error) error {
	for wait := p.wait; ; wait *= 3 {
		err := f()
		if err == nil || wait > 9*p.wait || !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, errIdle) {
			return err
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// broken is an error of the connection or the registry, as opposed to one of
// what came.
type broken struct{ error }

func (b broken) Unwrap() error { return b.error }

// bytes reads a whole blob, of at most limit bytes when it is unpacked.
func (p *reading) bytes(ctx context.Context, b Blob, limit int64) (out []byte, err error) {
	err = p.blob(ctx, b, func(r io.Reader) error {
		out, err = io.ReadAll(io.LimitReader(r, limit+1))
		if err == nil && int64(len(out)) > limit {
			err = fmt.Errorf("%w: blob %s: more than %d bytes", ErrRefused, b.Digest.Short(), limit)
		}
		return err
	})
	return out, err
}

// blob lets use read an unpacked blob, and checks its digest and size to the end.
func (p *reading) blob(ctx context.Context, b Blob, use func(io.Reader) error) error {
	r, err := p.from.blob(ctx, hashOf(b.Digest))
	if err != nil {
		return broken{err}
	}
	defer r.Close()
	n := &reader{r: io.LimitReader(r, b.Size+1)}
	z, err := zstd.NewReader(n, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(64<<20), zstd.WithDecoderLowmem(true))
	if err != nil {
		return err
	}
	defer z.Close()
	unpacked := &reader{r: z}
	if err = use(unpacked); err == nil {
		_, err = io.Copy(io.Discard, n)
	}
	if n.err != nil {
		err = n.err
	}
	switch {
	case n.err != nil && n.n >= b.Size, n.err == nil && unpacked.err != nil:
		return fmt.Errorf("%w: blob %s: %w", ErrRefused, b.Digest.Short(), err)
	case n.err != nil:
		return broken{err}
	case err != nil:
		return err
	}
	if n.n != b.Size {
		return fmt.Errorf("%w: blob %s has not the %d bytes that are announced", ErrRefused, b.Digest.Short(), b.Size)
	}
	return nil
}

// reader counts, and keeps how reading failed.
type reader struct {
	r   io.Reader
	n   int64
	err error
}

func (r *reader) Read(p []byte) (int, error) {
	n, err := r.r.Read(p)
	r.n += int64(n)
	if err != nil && !errors.Is(err, io.EOF) {
		r.err = err
	}
	return n, err
}
