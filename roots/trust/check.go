package trust

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"ninefold/roots/image"
	"ninefold/roots/pkg"
	"ninefold/roots/sign"
	"ninefold/roots/store"
)

// Verdict says that an image may be used, and how.
type Verdict struct {
	// Trusted says that each image of the chain was built here, or is covered by
	// a signature that counts. One that is not may be used because trust.toml
	// lets it, as what a user made is used.
	Trusted bool
	// Until is when a key or a tag that counted ends; zero is never.
	Until time.Time
	// Signers are the names of the keys that counted, sorted.
	Signers []string
	// Chain are the images that were looked at.
	Chain []image.ID
	// Local says that every image was built here.
	Local bool
}

// String says in words why the image may be used.
func (v Verdict) String() string {
	switch {
	case !v.Trusted:
		return "not signed, and untrusted: " + PolicyFile + " lets it be used"
	case len(v.Signers) > 0:
		return "signed by " + strings.Join(v.Signers, ", ")
	}
	return "built here"
}

// Check decides whether the image id, which the caller found by a name
// (a reference, or an id, which no tag can be wrong for), may be used now. The error
// is a *Refusal when it may not. It writes nothing.
func (p *Policy) Check(ctx context.Context, s *store.Store, name string, id image.ID, now time.Time) (Verdict, error) {
	c := &check{Policy: p, store: s, name: name, now: now, signers: map[sign.KeyID]bool{}}
	v, err := c.chain(ctx, id)
	if err != nil {
		return Verdict{}, err
	}
	v.Until = c.until
	for _, k := range p.Keys {
		if c.signers[k.Public.ID()] {
			v.Signers = append(v.Signers, k.Name)
		}
	}
	slices.Sort(v.Signers)
	return v, nil
}

type check struct {
	*Policy
	store   *store.Store
	name    string
	now     time.Time
	until   time.Time
	signers map[sign.KeyID]bool
}

func (c *check) chain(ctx context.Context, id image.ID) (Verdict, error) {
	v := Verdict{Trusted: true, Local: true}
	chain, err := c.store.Chain(id)
	if err != nil {
		return v, err
	}
	covered := false // by a signature over a descendant
	// What is asked of an image from outside is asked of its ancestors, too:
	// they came with it, and may have no name of their own here.
	var above *Rule
	var names []string
	for i, m := range slices.Backward(chain) {
		if err := ctx.Err(); err != nil {
			return v, context.Cause(ctx)
		}
		v.Chain = append(v.Chain, m.ID())
		o, err := c.store.Origin(m.ID())
		if err != nil {
			return v, err
		}
		if o != nil {
			v.Local = false
		}
		rule, references := c.ruleOf(m, o, i == len(chain)-1)
		if o == nil && rule.Local != "signed" {
			continue
		}
		if above != nil {
			rule, references = stricter(*above, rule), append(references, names...)
		}
		above, names = &rule, references
		if rule.Require == RequireNone {
			if !covered && c.image(m, rule, references) != nil {
				v.Trusted = false
			}
			continue
		}
		if !covered {
			if err := c.image(m, rule, references); err != nil {
				return v, err
			}
			covered = true
		}
		if rule.Require == RequirePackages {
			if err := c.packages(ctx, m, rule, references); err != nil {
				return v, err
			}
		}
		if i == len(chain)-1 && o != nil && slices.Contains(o.References, c.name) {
			if _, err := c.tag(m, rule); err != nil {
				return v, err
			}
		}
	}
	return v, nil
}

// ruleOf returns the strictest of the rules for what an image is called, and
// those names. The name by which it is used counts for the image itself when it
// came by that name, or was built here; a name that root gave to an image from
// outside does not make it another one.
func (c *check) ruleOf(m *image.Manifest, o *store.Origin, top bool) (Rule, []string) {
	references := []string{m.Name}
	switch {
	case o != nil && top && slices.Contains(o.References, c.name):
		references = []string{c.name}
	case o != nil && len(o.References) > 0:
		references = o.References
	case top && image.ValidReference(c.name):
		references = []string{c.name}
	}
	rule := c.rule(references[0])
	for _, r := range references[1:] {
		rule = stricter(rule, c.rule(r))
	}
	if top && o != nil && image.ValidReference(c.name) {
		rule = stricter(rule, c.rule(c.name))
	}
	return rule, references
}

// stricter is the one of two rules that asks for more.
func stricter(a, b Rule) Rule {
	rank := func(r Rule) int { return slices.Index(requires, string(r.Require))*100 + r.Attestations }
	if rank(b) > rank(a) {
		return b
	}
	return a
}

// keys are those that a rule lets count.
func (c *check) keys(rule Rule) []*Key {
	var keys []*Key
	for _, k := range c.Keys {
		if len(rule.Keys) == 0 || slices.Contains(rule.Keys, k.Name) {
			keys = append(keys, k)
		}
	}
	slices.SortFunc(keys, func(a, b *Key) int { return strings.Compare(a.Name, b.Name) })
	return keys
}

// signed is a statement with those who count for it.
type signed struct {
	statement *sign.Statement
	keys      []*Key
}

// statements returns the statements of a kind over a digest that keys of the
// rule made and may make under one of the references now, and why others do
// not count.
func (c *check) statements(d pkg.Digest, kind sign.Kind, rule Rule, references []string) (good []signed, why []error, err error) {
	envelopes, err := c.store.Signatures(d)
	if err != nil {
		return nil, nil, err
	}
	keys := c.keys(rule)
	for _, b := range envelopes {
		e, err := sign.Parse(b)
		if errors.Is(err, sign.ErrUnknown) || err == nil && e.Claim().Kind != kind {
			continue
		}
		if err != nil {
			why = append(why, fmt.Errorf("%w: %w", ErrWrong, err))
			continue
		}
		one := signed{}
		for _, k := range keys {
			if !slices.Contains(e.Claimed(), k.Public.ID()) {
				continue
			}
			_, statement, err := e.Signers(k.Public)
			switch {
			case err != nil || statement.Subject != d:
				why = append(why, fmt.Errorf("%w: key %s", ErrWrong, k.Name))
				continue
			default:
				one.statement = statement
			}
			until, err := k.usable(c.now)
			if err == nil {
				err = k.may(scopeKind[kind], references)
			}
			if err != nil {
				why = append(why, err)
				continue
			}
			one.keys = append(one.keys, k)
			c.until = earlier(c.until, until)
		}
		if len(one.keys) > 0 {
			good = append(good, one)
		}
	}
	return good, why, nil
}

var scopeKind = map[sign.Kind]string{sign.Package: Packages, sign.Image: Images, sign.Tag: Tags}

func (c *check) image(m *image.Manifest, rule Rule, references []string) error {
	good, why, err := c.statements(m.ID(), sign.Image, rule, references)
	if err != nil {
		return err
	}
	if len(good) == 0 {
		return c.refuse("image "+m.ID().Short(), why)
	}
	c.count(good)
	return nil
}

func (c *check) count(good []signed) map[sign.KeyID]bool {
	ids := map[sign.KeyID]bool{}
	for _, g := range good {
		for _, k := range g.keys {
			ids[k.Public.ID()] = true
			c.signers[k.Public.ID()] = true
		}
	}
	return ids
}

func (c *check) packages(ctx context.Context, m *image.Manifest, rule Rule, references []string) error {
	refs := slices.Clone(m.Packages)
	if !m.Finishing.IsZero() {
		refs = append(refs, image.Ref{Name: "the finishing steps", Digest: m.Finishing})
	}
	for _, r := range refs {
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		good, why, err := c.statements(r.Digest, sign.Package, rule, references)
		if err != nil {
			return err
		}
		if n := len(c.count(good)); n < rule.Attestations {
			if n > 0 {
				why = append(why, fmt.Errorf("%w: %d of %d keys signed it", ErrUnsigned, n, rule.Attestations))
			}
			return c.refuse("package "+r.Name, why)
		}
	}
	return nil
}

func (c *check) refuse(of string, why []error) error {
	if len(why) == 0 {
		why = []error{ErrUnsigned}
	}
	return &Refusal{What: c.name, Of: of, Why: why[:min(len(why), 8)]}
}
