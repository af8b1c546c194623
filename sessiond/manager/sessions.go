package manager

import (
	"context"
	"os"
	"path"
	"slices"
	"strings"

	"ninefold/internal/regular"
	"ninefold/roots/compat"
	"ninefold/roots/image"
	"ninefold/sessiond/desktop"
	"ninefold/sessiond/profile"
)

// maxSessions bounds what one root offers.
const maxSessions = 64

// Sessions returns the desktops of p's root: those of its images, and on the
// base "host" those of the machine, by type and id. It is store.ErrNotFound
// when an image is not there.
func (m *Manager) Sessions(ctx context.Context, p *profile.Profile) ([]desktop.Session, error) {
	c, err := m.compose(ctx, p, false)
	if err != nil {
		return nil, err
	}
	defer c.release()
	var out []desktop.Session
	if c.image != nil {
		out = slices.Clone(c.image.Sessions)
	}
	if c.onHost {
		for _, s := range m.host.sessions() {
			if !slices.ContainsFunc(out, func(o desktop.Session) bool { return o.Type == s.Type && o.ID == s.ID }) {
				out = append(out, s)
			}
		}
	}
	return out, nil
}

// sessionDir is where distributions put the entries of a type.
func sessionDir(t desktop.Type) string { return "usr/share/" + t.Dir() }

// sessionsOf reads the session entries of an image off its entries. One that
// cannot be used is left out.
func sessionsOf(t *image.Tree, objects compat.Objects) ([]desktop.Session, error) {
	var out []desktop.Session
	for _, kind := range desktop.Types {
		for i := range t.Entries {
			dir, file := path.Split(t.Entries[i].Path)
			id, ok := strings.CutSuffix(file, ".desktop")
			if !ok || dir != sessionDir(kind)+"/" || len(out) >= maxSessions || t.Entries[i].Size > desktop.MaxSize {
				continue
			}
			text, err := contentOf(t, objects, t.Entries[i].Path)
			if err != nil {
				return nil, err
			}
			if s, err := desktop.Parse(kind, id, []byte(text)); err == nil {
				out = append(out, s)
			}
		}
	}
	return out, nil
}

// sessions are the machine's own.
func (m machine) sessions() []desktop.Session {
	var out []desktop.Session
	for _, kind := range desktop.Types {
		files, err := os.ReadDir(m.at(sessionDir(kind)))
		if err != nil {
			continue // it has none
		}
		for _, f := range files {
			id, ok := strings.CutSuffix(f.Name(), ".desktop")
			if !ok || len(out) >= maxSessions {
				continue
			}
			text, err := regular.Read(m.at(path.Join(sessionDir(kind), f.Name())), desktop.MaxSize)
			if err != nil {
				continue
			}
			if s, err := desktop.Parse(kind, id, text); err == nil {
				out = append(out, s)
			}
		}
	}
	return out
}
