package trust

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"ninefold/roots/image"
	"ninefold/roots/pkg"
	"ninefold/roots/sign"
	"ninefold/roots/store"
)

// Signing says what Sign signs.
type Signing struct {
	// Reference is the tag that is signed; "" signs none.
	Reference string
	// Created is now; Expires is when the tag says nothing any more, zero never.
	Created, Expires time.Time
	// PackagesOnly signs the packages and nothing else: the word of somebody
	// who built them too.
	PackagesOnly bool
}

// Signed is what Sign did.
type Signed struct {
	Packages int    `json:"packages"`
	Images   int    `json:"images"`
	Tag      string `json:"tag,omitempty"`
	Version  uint64 `json:"version,omitempty"` // of the tag
}

// Sign signs the chain of image id: each package, each image, and the tag. Only
// digests are signed, so it costs little. What the key signed before is not
// signed again.
func Sign(ctx context.Context, s *store.Store, key *sign.Private, id image.ID, o Signing) (Signed, error) {
	var done Signed
	chain, err := s.Chain(id)
	if err != nil {
		return done, err
	}
	var list []store.Signature
	add := func(statement *sign.Statement) error {
		b, err := sign.Seal(statement, key)
		if err == nil {
			list = append(list, store.Signature{Digest: statement.Subject, Envelope: b})
		}
		return err
	}
	seen := map[pkg.Digest]bool{}
	for _, m := range chain {
		refs := slices.Clone(m.Packages)
		if !m.Finishing.IsZero() {
			refs = append(refs, image.Ref{Name: "_finishing", Digest: m.Finishing})
		}
		for _, r := range refs {
			if seen[r.Digest] {
				continue
			}
			seen[r.Digest] = true
			if err := ctx.Err(); err != nil {
				return done, context.Cause(ctx)
			}
			if err := add(&sign.Statement{Kind: sign.Package, Name: r.Name, Subject: r.Digest}); err != nil {
				return done, err
			}
			done.Packages++
		}
		if o.PackagesOnly {
			continue
		}
		if err := add(&sign.Statement{Kind: sign.Image, Name: m.Name, Subject: m.ID()}); err != nil {
			return done, err
		}
		done.Images++
	}
	if err := s.AddSignatures(ctx, list); err != nil {
		return done, err
	}
	if o.Reference == "" || o.PackagesOnly {
		return done, nil
	}
	done.Tag = o.Reference
	done.Version, err = signTag(ctx, s, key, id, o)
	return done, err
}

// signTag signs the next version of the tag, or, when the newest one is of
// this image, that one again with another end.
func signTag(ctx context.Context, s *store.Store, key *sign.Private, id image.ID, o Signing) (uint64, error) {
	if !o.Expires.IsZero() && !o.Expires.After(o.Created) {
		return 0, fmt.Errorf("sign tag %s: it would end before it begins", o.Reference)
	}
	version := uint64(1)
	err := s.SetSeen(ctx, o.Reference, func(old store.Seen) (store.Seen, error) {
		version = old.Version
		if old.Image != id {
			version++
		}
		b, err := sign.Seal(&sign.Statement{Kind: sign.Tag, Name: o.Reference, Subject: id, Tag: &sign.TagInfo{
			Version: version, Created: o.Created.UTC().Truncate(time.Second), Expires: o.Expires.UTC().Truncate(time.Second)}}, key)
		if err != nil {
			return old, err
		}
		return store.Seen{Version: version, Image: id, Key: key.Public().ID()}, s.AddSignature(id, b)
	})
	return version, err
}

// Successor reads a statement in which a trusted key names the key that takes
// its place, and returns both. The old key must count now.
func (p *Policy) Successor(envelope []byte, now time.Time) (*Key, *sign.Public, error) {
	e, err := sign.Parse(envelope)
	if err != nil {
		return nil, nil, err
	}
	why := []error{}
	for _, k := range p.Keys {
		_, s, err := e.Signers(k.Public)
		if err != nil {
			continue
		}
		if _, err := k.usable(now); err != nil {
			why = append(why, err)
			continue
		}
		if s.Kind != sign.Successor {
			return nil, nil, fmt.Errorf("%w: it is about a %s, and names no key", sign.ErrStatement, s.Kind)
		}
		return k, s.Key, nil
	}
	if len(why) == 0 {
		why = []error{ErrUnsigned}
	}
	return nil, nil, errors.Join(why...)
}
