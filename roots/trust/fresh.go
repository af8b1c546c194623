package trust

import (
	"context"
	"errors"
	"fmt"
	"time"

	"ninefold/roots/image"
	"ninefold/roots/sign"
	"ninefold/roots/store"
)

// tag finds the newest statement that the name stands for the image.
func (c *check) tag(m *image.Manifest, rule Rule) (*store.Seen, error) {
	what := "tag " + c.name
	good, why, err := c.statements(m.ID(), sign.Tag, rule, []string{c.name})
	if err != nil {
		return nil, err
	}
	var best *signed
	for i := range good {
		t := good[i].statement
		if t.Name != c.name {
			continue
		}
		if !t.Tag.Expires.IsZero() && !c.now.Before(t.Tag.Expires) {
			why = append(why, fmt.Errorf("%w: its version %d was good until %s", ErrExpired, t.Tag.Version, t.Tag.Expires.Format(time.DateOnly)))
			continue
		}
		if best == nil || newer(t.Tag, best.statement.Tag) {
			best = &good[i]
		}
	}
	if best == nil {
		return nil, c.refuse(what, why)
	}
	seen, err := c.store.Seen(c.name)
	if err != nil {
		return nil, err
	}
	t := best.statement.Tag
	now := store.Seen{Version: t.Version, Image: m.ID(), Key: best.keys[0].Public.ID()}
	if err := c.fresh(seen, now); err != nil {
		return nil, c.refuse(what, []error{err})
	}
	c.count([]signed{*best})
	c.until = earlier(c.until, t.Expires)
	return &now, nil
}

// newer reports whether a takes the place of b: a higher version, or the same
// one made to last longer.
func newer(a, b *sign.TagInfo) bool {
	if a.Version != b.Version {
		return a.Version > b.Version
	}
	return !b.Expires.IsZero() && (a.Expires.IsZero() || a.Expires.After(b.Expires))
}

// fresh compares what a tag says now with the newest that was seen. What a
// key said that is revoked now does not count: a thief of it could have signed
// a version so high that none comes after it.
func (c *check) fresh(seen, now store.Seen) error {
	if r, ok := c.revoked[seen.Key]; ok && !c.now.Before(r.Since.Time) {
		return nil
	}
	switch {
	case now.Version < seen.Version:
		return fmt.Errorf("%w: this is version %d, and %d was seen", ErrRollback, now.Version, seen.Version)
	case now.Version == seen.Version && now.Image != seen.Image:
		return fmt.Errorf("%w: version %d was image %s then, and is %s now", ErrRollback, now.Version, seen.Image.Short(), now.Image.Short())
	}
	return nil
}

// Accept gives an image the name that it came by, when policy lets it be used,
// and records the version of the tag, so that no older one is accepted after
// it. The image is in the store as one that came by this name (store.PutPulled),
// with its signatures.
func (p *Policy) Accept(ctx context.Context, s *store.Store, reference string, id image.ID, now time.Time) (Verdict, error) {
	v, err := p.Check(ctx, s, reference, id, now)
	if err != nil {
		return v, err
	}
	m, err := s.Image(id)
	if err != nil {
		return v, err
	}
	c := &check{Policy: p, store: s, name: reference, now: now, signers: map[sign.KeyID]bool{}}
	rule := p.rule(reference)
	if v.Local {
		return v, s.Tag(reference, id)
	}
	err = s.SetSeen(ctx, reference, func(old store.Seen) (store.Seen, error) {
		// Looked at again under the lock: another pull may have been faster.
		newest, err := c.tag(m, rule)
		if err != nil && rule.Require == RequireNone && !errors.Is(err, ErrRollback) {
			return old, nil
		}
		if err != nil {
			return old, err
		}
		return *newest, s.Tag(reference, id)
	})
	if err == nil && rule.Require == RequireNone {
		err = s.Tag(reference, id)
	}
	return v, err
}
