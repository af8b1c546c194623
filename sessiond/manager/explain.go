package manager

import (
	"context"
	"fmt"

	"ninefold/namespaces/plan"
)

// Explanation says what a session would stand on, and why.
type Explanation struct {
	Profile string `json:"profile"`
	From    string `json:"from"` // the profile's file, or "built in"
	User    string `json:"user"`
	UID     uint32 `json:"uid"`
	Base    string `json:"base"`
	Runtime string `json:"runtime,omitempty"`

	Decision Decision `json:"decision"`
	// Layers are for people, topmost first.
	Layers []string `json:"layers"`
	Class  string   `json:"class"`
	// Influences are who made the session untrusted.
	Influences []string `json:"influences,omitempty"`
	// Writes says where what is written goes.
	Writes string `json:"writes"`
}

// Explain decides about a session without making it.
func (m *Manager) Explain(ctx context.Context, r Request) (*Explanation, error) {
	p, err := m.prepare(ctx, r, false)
	if err != nil {
		return nil, err
	}
	defer p.release()
	if err := p.base.stack.explain(); err != nil {
		return nil, err
	}
	e := &Explanation{
		Profile: p.profile.Name, From: p.profile.File, User: p.user.Name, UID: p.user.UID, Base: p.profile.Base, Runtime: p.profile.Runtime,
		Decision: p.base.stack.Decision, Class: string(p.session.Plan.Class), Writes: "to memory, thrown away at the end",
	}
	if e.From == "" {
		e.From = "built in"
	}
	if p.spec.Upper != nil && p.spec.Upper.Dir != "" {
		e.Writes = "to " + p.spec.Upper.Dir + ", kept"
	}
	if p.spec.HomeDisk != "" {
		e.Writes += "; in the home to " + p.spec.HomeDisk + ", kept for the next guest"
	}
	for _, piece := range p.base.pieces {
		l := fmt.Sprintf("image %s %s", piece.Name, piece.Image.Short())
		if !piece.Above.IsZero() {
			l += fmt.Sprintf(", without its ancestor %s", piece.Above.Short())
		}
		if said := p.base.admission.said[piece.Image]; said != "" {
			l += ", " + said
		}
		e.Layers = append(e.Layers, l)
	}
	if p.base.file != "" {
		e.Layers = append(e.Layers, "file "+p.base.file)
	}
	if c := p.base.context; c != nil {
		e.Layers = append(e.Layers, "context "+c.record.Name)
	}
	if p.base.onHost {
		e.Layers = append(e.Layers, "the host's /")
	}
	for _, i := range plan.Influences(p.spec) {
		if i.Origin == outsider {
			e.Influences = append(e.Influences, "no trusted key signed "+i.What)
			continue
		}
		e.Influences = append(e.Influences, fmt.Sprintf("uid %d had a hand in %s", i.Origin, i.What))
	}
	return e, nil
}
