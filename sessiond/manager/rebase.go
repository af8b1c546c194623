package manager

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"time"

	"ninefold/internal/record"
	"ninefold/roots/compat"
	"ninefold/sessiond/parked"
)

// keptBase is what a kept layer was last used over. It lies beside the layer.
type keptBase struct {
	// Images are ids of pieces, with what they leave out, topmost first.
	Images []string `json:"images"`
	// Host is the stamp of the host's packages, "" when they are not below.
	Host string `json:"host"`
}

var keptBaseKind = record.Kind{Magic: "9foldkb\n", Version: 1, Max: 64 << 10}

func (m *Manager) baseOf(c *composition) (b keptBase) {
	for _, p := range c.pieces {
		id := p.Image.String()
		if !p.Above.IsZero() {
			id += "-" + p.Above.String()
		}
		b.Images = append(b.Images, id)
	}
	if c.context != nil {
		b.Images = append(b.Images, c.context.key())
	}
	if c.onHost {
		b.Host = compat.Stamp(m.host.root)
	}
	return b
}

// rebase looks whether the claimed layer of p was used over something else the
// last time. What is written in it hides newer files from then on, which the
// person is told; a layer with files that mean something only over the old
// base is not mixed with the new one, but set aside, and a new one begun.
func (m *Manager) rebase(ctx context.Context, p *prepared) error {
	name := filepath.Join(p.kept.dir, "base")
	now := m.baseOf(p.base)
	var last keptBase
	err := keptBaseKind.Read(name, &last)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, record.ErrDamaged):
		return keptBaseKind.Write(name, now)
	case err != nil:
		return err // of a newer version: left alone
	case slices.Equal(last.Images, now.Images) && last.Host == now.Host:
		return nil
	}
	what := "its images were built anew"
	if p.base.context != nil {
		what = "its context changed"
	}
	if slices.Equal(last.Images, now.Images) {
		what = "the host's packages changed"
	}
	mixes, err := parked.Mixes(ctx, p.kept.dir)
	if err != nil {
		return err
	}
	if !mixes {
		p.note = fmt.Sprintf("%s since profile %s was used last; what you have written in it hides their new files", what, p.profile.Name)
		return keptBaseKind.Write(name, now)
	}
	it, err := parked.On(m.state).TakeIn(p.kept.dir, parked.Item{UID: p.user.UID, User: p.user.Name, Profile: p.profile.Name, When: time.Now().UTC()})
	if err != nil {
		return err
	}
	p.kept.release()
	p.kept = nil
	p.note = fmt.Sprintf("%s since profile %s was used last, and what it kept does not fit them: it is set aside as %s (sessionctl session restore)",
		what, p.profile.Name, it.ID)
	if p.kept, err = claimKept(ctx, keptDir(m.state, p.user.UID, p.profile.Name), p.profile.Name); err != nil {
		return err
	}
	return keptBaseKind.Write(name, now)
}
