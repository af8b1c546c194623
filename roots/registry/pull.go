package registry

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/klauspost/compress/zstd"
	"golang.org/x/sync/errgroup"

	"ninefold/internal/progress"
	"ninefold/roots/image"
	"ninefold/roots/pkg"
	"ninefold/roots/store"
)

// Pull brings the image at reference, host/name:tag, and its ancestors into
// the store, and lets the reference stand for it there. Packages that the store has
// do not travel; a pull that was ended goes on with those it lacks. Nothing is
// visible before everything is there.
func Pull(ctx context.Context, s *store.Store, reference string, o Options) (image.ID, error) {
	t, err := target(reference)
	if err != nil {
		return image.ID{}, err
	}
	if !image.ValidReference(reference) {
		return image.ID{}, fmt.Errorf("reference %q: it cannot name an image here", reference)
	}
	from, err := newRemote(t, options(t, o))
	if err != nil {
		return image.ID{}, err
	}
	p := &pull{s: s, from: from, accept: o.Accept}
	id, err := p.run(ctx, t.Name(), reference)
	if err != nil {
		return image.ID{}, fmt.Errorf("pull of %s: %w", reference, err)
	}
	return id, nil
}

type pull struct {
	s      *store.Store
	from   source
	accept func(context.Context, string, image.ID) error
}

// run brings what lies at from, and names it by reference.
func (p *pull) run(ctx context.Context, from, reference string) (image.ID, error) {
	d, chain, err := p.document(ctx)
	if err != nil {
		return image.ID{}, err
	}
	id := chain[len(chain)-1].ID()
	// Who pulls the same image waits, and then finds it. Few lock files serve all.
	release, err := p.s.Build(ctx, "pull-"+id.String()[:2])
	if err != nil {
		return id, err
	}
	defer release()
	if err := p.packages(ctx, d.Packages); err != nil {
		return id, err
	}
	built, err := p.s.Built(ctx, chain)
	if err != nil {
		return id, err
	}
	if _, err := image.Flatten(built); err != nil {
		return id, fmt.Errorf("%w: %w", ErrRefused, err)
	}
	var list []store.Signature
	for _, one := range d.Signatures {
		list = append(list, store.Signature(one))
	}
	if err := p.s.AddSignatures(ctx, list); err != nil {
		return id, err
	}
	return id, p.admit(ctx, chain, from, reference)
}

// admit puts the images of a chain into the store, as ones from outside, and
// gives the last one its name if it may have it.
func (p *pull) admit(ctx context.Context, chain []*image.Manifest, from, reference string) error {
	var id image.ID
	for i, m := range chain {
		o := store.Origin{From: from}
		if i == len(chain)-1 {
			o.References = []string{reference}
		}
		var err error
		if id, err = p.s.PutPulled(m, o); err != nil {
			return err
		}
	}
	if p.accept != nil {
		return p.accept(ctx, reference, id)
	}
	return p.s.Tag(reference, id)
}

// document finds and reads what Ninefold keeps beside an image of containers.
func (p *pull) document(ctx context.Context) (*Document, []*image.Manifest, error) {
	index, err := indexOf(ctx, p.from)
	if err != nil {
		return nil, nil, err
	}
	for _, desc := range index.Manifests {
		if desc.ArtifactType != ArtifactType {
			continue
		}
		raw, err := p.from.manifest(ctx, desc.Digest)
		if err != nil {
			return nil, nil, err
		}
		m, err := v1.ParseManifest(bytes.NewReader(raw))
		if err != nil || len(m.Layers) == 0 || m.Layers[0].MediaType != DocumentType {
			return nil, nil, fmt.Errorf("%w: its manifest holds no document", ErrRefused)
		}
		d, err := pkg.ParseDigest(m.Layers[0].Digest.Hex)
		if err != nil {
			return nil, nil, fmt.Errorf("%w: its manifest: %w", ErrRefused, err)
		}
		text, err := p.bytes(ctx, Blob{d, m.Layers[0].Size}, maxDocument)
		if err != nil {
			return nil, nil, err
		}
		return ParseDocument(text)
	}
	return nil, nil, fmt.Errorf("%w: its index names none", ErrNotOurs)
}

func (p *pull) packages(ctx context.Context, all []Package) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(parallel)
	var done atomic.Int64
	for _, one := range all {
		g.Go(func() error {
			err := p.again(ctx, func() error { return p.one(ctx, one) })
			if err != nil {
				return err
			}
			p.s.Progress().Update(progress.Update{Stage: "pull", Item: one.ID.Short(), Done: done.Add(1), Total: int64(len(all)), Unit: "packages"})
			return nil
		})
	}
	return g.Wait()
}

// again repeats what a broken connection ended.
func (p *pull) again(ctx context.Context, f func() error) error {
	for wait := time.Second; ; wait *= 3 {
		err := f()
		if err == nil || wait > 9*time.Second || !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, errIdle) {
			return err
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (p *pull) one(ctx context.Context, one Package) error {
	if p.s.HasPackage(one.ID) {
		return nil
	}
	b, err := p.bytes(ctx, one.Record, pkg.MaxEncoded)
	if err != nil {
		return err
	}
	if sha256.Sum256(b) != one.ID {
		return fmt.Errorf("%w: package %s: its record has another digest", ErrRefused, one.ID.Short())
	}
	record, err := pkg.Decode(b)
	if err != nil {
		return fmt.Errorf("%w: package %s: %w", ErrRefused, one.ID.Short(), err)
	}
	if err := checkForeign(record); err != nil {
		return err
	}
	// All that its files hold may have come with other packages.
	if _, err := p.s.PutPackage(record); err == nil {
		return nil
	}
	err = p.blob(ctx, one.Files, func(r io.Reader) error { return readLayer(ctx, p.s, record, r) })
	if err != nil {
		return fmt.Errorf("package %s: %w", record.Name, err)
	}
	if _, err = p.s.PutPackage(record); errors.Is(err, store.ErrNotFound) {
		err = fmt.Errorf("%w: its layer lacks files: %w", ErrRefused, err)
	}
	return err
}

// bytes reads a whole blob, of at most limit bytes when it is unpacked.
func (p *pull) bytes(ctx context.Context, b Blob, limit int64) (out []byte, err error) {
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
func (p *pull) blob(ctx context.Context, b Blob, use func(io.Reader) error) error {
	r, err := p.from.blob(ctx, hashOf(b.Digest))
	if err != nil {
		return err
	}
	defer r.Close()
	n := &reader{r: io.LimitReader(r, b.Size+1)}
	z, err := zstd.NewReader(n, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(64<<20), zstd.WithDecoderLowmem(true))
	if err != nil {
		return err
	}
	defer z.Close()
	if err := use(z); err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, n); err != nil {
		return err
	}
	if n.n != b.Size {
		return fmt.Errorf("%w: blob %s has not the %d bytes that are announced", ErrRefused, b.Digest.Short(), b.Size)
	}
	return nil
}

type reader struct {
	r io.Reader
	n int64
}

func (r *reader) Read(p []byte) (int, error) {
	n, err := r.r.Read(p)
	r.n += int64(n)
	return n, err
}
