package manager

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"ninefold/namespaces/plan"
	"ninefold/roots/contexts"
	contextroot "ninefold/sessiond/contexts/inside"
	"ninefold/sessiond/profile"
)

// ErrContextBase says that a session cannot stand on a context.
var ErrContextBase = errors.New("a session cannot stand on this context")

// standing is the context that a session stands on, in the state that it is in and
// that nothing changes meanwhile.
type standing struct {
	record contexts.Record
	// upper is the directory that lies over /, and pin, if not "", one below it.
	upper, pin string
	moved      bool // what it stands on has changed since it was begun
}

// key names the state, which another one never has.
func (s *standing) key() string { return "context:" + s.record.ID + ":" + s.record.Layer }

// ContextOf says what a layer of a context stands on.
func ContextOf(s *contexts.Store, r contexts.Record, layer string) (c ContextSpec, err error) {
	c = ContextSpec{Name: r.Name, Image: r.Stands.Image}
	if r.Stands.Pin != "" {
		c.Pin = s.Tree(r, r.Stands.Pin)
	}
	if c.Parts, err = contexts.Parts(s.LayerDir(r, layer)); err != nil {
		return c, fmt.Errorf("context %s: %w", r.Name, err)
	}
	return c, nil
}

// composeContext makes a session stand on a context of root's: its layer is one below
// the session's own, which is written to instead. Root's profiles alone can name one,
// since a context holds what root alone may read. Who claims it keeps it as it is.
func (m *Manager) composeContext(ctx context.Context, p *profile.Profile, name string, claim bool) (_ *composition, err error) {
	fail := func(format string, args ...any) (*composition, error) {
		return nil, fmt.Errorf("%w: %s: %w", ErrContextBase, name, fmt.Errorf(format, args...))
	}
	if p.Origin != 0 {
		return fail("uid %d had a hand in the profile, and only root's can name a context", p.Origin)
	}
	if p.Guest() {
		return fail("a guest is not to see what root's contexts hold")
	}
	all := contexts.On(m.state).MountingIn(m.asked.HostMounts)
	r, err := all.Find(0, name)
	if err != nil {
		return fail("%w", err)
	}
	var held []*os.File
	if claim {
		if r, held, err = contextroot.Of(all, nil).Stand(ctx, r); err != nil {
			return fail("%w", err)
		}
	} else if err := all.Ready(ctx, r); err != nil {
		return fail("%w", err)
	}
	defer func() {
		if err != nil {
			for _, f := range held {
				f.Close()
			}
		}
	}()
	spec, err := ContextOf(all, r, r.Layer)
	if err != nil {
		return fail("%w", err)
	}
	below, err := m.ground(ctx, spec)
	if err != nil {
		return fail("%w", err)
	}
	c := below.composition
	for _, f := range held {
		c.leases = append(c.leases, f)
	}
	c.context = &standing{record: r, upper: filepath.Join(all.LayerDir(r, r.Layer), "upper"), pin: spec.Pin, moved: contextroot.Moved(r)}
	if err := c.over(all.LayerDir(r, r.Layer), below, spec.Parts); err != nil {
		return fail("%w", err)
	}
	return c, nil
}

// over puts the layer of a context over what it stands on.
func (c *composition) over(dir string, below *ground, parts []string) error {
	top := func(upper string) []plan.Layer { return []plan.Layer{{Kind: plan.LayerUpper, Source: upper}} }
	if _, err := os.Stat(c.context.upper); err == nil { // or nobody was ever in it
		c.layers = append(top(c.context.upper), c.layers...)
	}
	if c.stack == nil {
		c.stack = &stack{}
	}
	c.stack.Decision = Decision{Kind: "context", Reason: "the base is the context " + c.context.record.Name}
	facts := &imageFacts{ZoneInfo: true}
	if c.image != nil {
		*facts = *c.image
	}
	for name, into := range map[string]*string{"/etc/passwd": &facts.Accounts.Passwd, "/etc/group": &facts.Accounts.Group} {
		for _, at := range []string{c.context.upper, c.context.pin} {
			if at == "" {
				continue
			}
			text, ok, err := contexts.Text(at, name)
			if err != nil {
				return err
			}
			if ok {
				*into = text
				break
			}
		}
	}
	c.image = facts
	c.parts = below.parts
	for _, name := range parts {
		upper := filepath.Join(dir, plan.UpperName(name), "upper")
		i := slices.IndexFunc(c.parts, func(p plan.Part) bool { return p.Path == name })
		if mount := slices.IndexFunc(below.mounts, func(h plan.HostMount) bool { return h.Path == name }); i < 0 && mount >= 0 {
			c.parts = append(c.parts, plan.Part{Path: name, Layers: c.layers[len(c.layers)-1:], Flags: below.mounts[mount].Flags})
			i = len(c.parts) - 1
		}
		if i >= 0 {
			c.parts[i].Top = top(upper)
		}
	}
	return nil
}

// has reports whether a program is there, in the context or in what it stands on.
func (s *standing) has(name string, below func(string) bool) bool {
	for _, n := range []string{name, "/usr" + name} { // /bin is a link into /usr
		for _, at := range []string{s.upper, s.pin} {
			if at == "" {
				continue
			}
			switch has, hides, err := contexts.Has(at, n); {
			case err != nil, hides:
				return false
			case has:
				return true
			}
		}
	}
	return s.pin == "" && below(name)
}
