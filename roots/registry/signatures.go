package registry

import (
	"context"
	"errors"
	"fmt"

	"ninefold/roots/image"
	"ninefold/roots/pkg"
	"ninefold/roots/store"
)

var (
	// ErrOther: the reference stands for another image.
	ErrOther = errors.New("another image is there")
	// ErrOvertaken: others changed the reference at the same time, again and again.
	ErrOvertaken = errors.New("others keep changing it")
)

// PushSignatures sends the signatures that the store has over image id, which
// reference stands for already, its ancestors and their packages, and returns how many
// were new there. What others signed stays.
func PushSignatures(ctx context.Context, s *store.Store, id image.ID, reference string, o Options) (int, error) {
	to, err := newSink(reference, o)
	if err != nil {
		return 0, err
	}
	p := &push{s: s, to: to, there: &reading{to.remoteSource, o.firstWait()}}
	sent := 0
	// Nothing locks a tag. Who wrote it at the same time may have taken ours away.
	for range tries {
		missing, err := p.add(ctx, id)
		if err != nil {
			return sent, fmt.Errorf("push of signatures to %s: %w", reference, err)
		}
		if missing == 0 {
			return sent, nil
		}
		sent = max(sent, missing)
	}
	return sent, fmt.Errorf("push of signatures to %s: %w", reference, ErrOvertaken)
}

// add adds the signatures that the reference lacks, and returns how many these are.
func (p *push) add(ctx context.Context, id image.ID) (int, error) {
	there, err := p.there.find(ctx)
	if err != nil {
		return 0, err
	}
	if is := there.chain[len(there.chain)-1].ID(); is != id {
		return 0, fmt.Errorf("%w: %s, and not %s", ErrOther, is.Short(), id.Short())
	}
	ours, err := p.signatures(there.document, there.chain)
	if err != nil {
		return 0, err
	}
	old := len(there.document.Signatures)
	if lost := there.document.join(ours); lost > 0 {
		return 0, fmt.Errorf("%w: there is no room for %d of them", store.ErrFull, lost)
	}
	missing := len(there.document.Signatures) - old
	if missing == 0 {
		return 0, nil
	}
	return missing, there.send(ctx, p.to)
}

// send puts what was found back, with the document as it is now.
func (f *found) send(ctx context.Context, to sink) error {
	document, err := sendDocument(ctx, to, f.document)
	if err != nil {
		return err
	}
	f.artifact.Layers[0] = document.descriptor()
	desc, err := sendManifest(ctx, to, f.artifact)
	if err != nil {
		return err
	}
	for i, old := range f.index.Manifests {
		if old.ArtifactType == ArtifactType {
			desc.Platform, desc.ArtifactType = old.Platform, ArtifactType
			f.index.Manifests[i] = desc
		}
	}
	return sendIndex(ctx, to, f.index)
}

// signatures returns what the store has over what a document brings.
func (p *push) signatures(d *Document, chain []*image.Manifest) ([]Signature, error) {
	var over []pkg.Digest
	for _, one := range d.Packages {
		over = append(over, one.ID)
	}
	for _, m := range chain {
		over = append(over, m.ID())
	}
	var out []Signature
	for _, one := range over {
		list, err := p.s.Signatures(one)
		if err != nil {
			return nil, err
		}
		for _, e := range list {
			out = append(out, Signature{one, e})
		}
	}
	return out, nil
}

// keep adds to d what others signed of the same image at the reference. What
// is there may be anything, or nothing.
func (p *push) keep(ctx context.Context, d *Document, id image.ID) error {
	if p.there == nil {
		return nil
	}
	there, err := p.there.find(ctx)
	switch {
	case denied(err), errors.Is(err, ErrNotOurs), errors.Is(err, ErrRefused), errors.Is(err, ErrVersion):
		return nil
	case err != nil:
		return err
	}
	if there.chain[len(there.chain)-1].ID() == id {
		d.join(there.document.Signatures)
	}
	return nil
}

// join adds signatures that d lacks, as many as a store keeps over one thing,
// and returns for how many there was no room.
func (d *Document) join(list []Signature) (lost int) {
	over := map[pkg.Digest]int{}
	have := map[string]bool{}
	for _, s := range d.Signatures {
		over[s.Digest]++
		have[s.Digest.String()+string(s.Envelope)] = true
	}
	for _, s := range list {
		key := s.Digest.String() + string(s.Envelope)
		switch {
		case have[key]:
		case over[s.Digest] >= store.MaxSignatures || len(d.Signatures) >= maxSignatures:
			lost++
		default:
			have[key] = true
			over[s.Digest]++
			d.Signatures = append(d.Signatures, s)
		}
	}
	return lost
}
