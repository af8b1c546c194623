package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"

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
	p := &pull{s: s, reading: reading{from, o.firstWait()}, accept: o.Accept}
	id, err := p.run(ctx, t.Name(), reference)
	if err != nil {
		return image.ID{}, fmt.Errorf("pull of %s: %w", reference, err)
	}
	return id, nil
}

type pull struct {
	reading
	s      *store.Store
	accept func(context.Context, string, image.ID) error
	large  sync.Mutex // held for a package with a large record
}

// largeRecord is from how many bytes on a record is in memory without others of
// its kind: what it holds may take a hundred times as much there.
const largeRecord = 1 << 20

// run brings what lies at from, and names it by reference.
func (p *pull) run(ctx context.Context, from, reference string) (image.ID, error) {
	there, err := p.find(ctx)
	if err != nil {
		return image.ID{}, err
	}
	d, chain := there.document, there.chain
	id := chain[len(chain)-1].ID()
	// Who pulls the same image waits, and then finds it. Few lock files serve all.
	release, err := p.s.Build(ctx, "pull-"+id.String()[:2])
	if err != nil {
		return id, err
	}
	defer release()
	if err := p.packages(ctx, d); err != nil {
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
// gives the last one its name if it may have it. Otherwise those that were not there
// before go again.
func (p *pull) admit(ctx context.Context, chain []*image.Manifest, from, reference string) (err error) {
	var id image.ID
	var fresh []image.ID
	defer func() {
		if err != nil {
			err = errors.Join(err, p.s.Withdraw(fresh...))
		}
	}()
	for i, m := range chain {
		if id = m.ID(); !p.s.HasImage(id) {
			fresh = append([]image.ID{id}, fresh...)
		}
		o := store.Origin{From: from}
		if i == len(chain)-1 {
			o.References = []string{reference}
		}
		if _, err = p.s.PutPulled(m, o); err != nil {
			return err
		}
	}
	if p.accept != nil {
		return p.accept(ctx, reference, id)
	}
	return p.s.Tag(reference, id)
}

// packages brings the packages that the store lacks. Their records are read
// blob after blob, and let go of when their packages are there.
func (p *pull) packages(ctx context.Context, d *Document) error {
	lacking := map[Blob][]Package{}
	var blobs []Blob
	var done atomic.Int64
	for _, one := range d.Packages {
		if p.s.HasPackage(one.ID) {
			done.Add(1)
			continue
		}
		if lacking[one.Record] == nil {
			blobs = append(blobs, one.Record)
		}
		lacking[one.Record] = append(lacking[one.Record], one)
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(parallel)
	for _, at := range blobs {
		records, err := p.records(ctx, d.Version, at)
		if err != nil {
			g.Go(func() error { return err })
			break
		}
		for _, one := range lacking[at] {
			g.Go(func() error {
				err := p.again(ctx, func() error { return p.one(ctx, one, records[one.ID]) })
				if err != nil {
					return err
				}
				p.s.Progress().Update(progress.Update{Stage: "pull", Item: one.ID.Short(), Done: done.Add(1), Total: int64(len(d.Packages)), Unit: "packages"})
				return nil
			})
		}
	}
	return g.Wait()
}

// one brings a package of which b is the record.
func (p *pull) one(ctx context.Context, one Package, b []byte) error {
	if b == nil {
		return fmt.Errorf("%w: package %s: its record is not where it should be", ErrRefused, one.ID.Short())
	}
	if len(b) > largeRecord {
		p.large.Lock()
		defer p.large.Unlock()
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
	err = p.kept(ctx, one.Files, func(r io.Reader) error { return readLayer(ctx, p.s, record, r) })
	if err != nil {
		return fmt.Errorf("package %s: %w", record.Name, err)
	}
	if _, err = p.s.PutPackage(record); errors.Is(err, store.ErrNotFound) {
		err = fmt.Errorf("%w: its layer lacks files: %w", ErrRefused, err)
	}
	return err
}
