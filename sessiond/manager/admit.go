package manager

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"ninefold/namespaces/plan"
	"ninefold/roots/image"
	"ninefold/roots/store"
	"ninefold/roots/trust"
	"ninefold/sessiond/decided"
	"ninefold/sessiond/profile"
)

// outsider is whose a layer is that no trusted key signed: nobody's
// (systemd's UID_NOBODY), so that what stands on it is untrusted.
const outsider plan.Origin = 65534

// admission is what package trust said of the images of a composition.
type admission struct {
	// inputs are the trust files; chain the images that were looked at.
	inputs []string
	chain  []image.ID
	// names are the references by which the profile names images.
	names map[image.ID]string
	// said is why images may be used, in words.
	said map[image.ID]string
	// untrusted are images that may be used, and are nobody's.
	untrusted []image.ID
	until     time.Time
}

// Trust returns what the trust files say. Root relies on them only where
// nobody else can change them.
func (m *Manager) Trust() (*trust.Policy, error) {
	p, err := trust.Load(m.config...)
	if err != nil {
		return nil, err
	}
	for _, file := range p.Inputs {
		if _, err := os.Lstat(file); errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err := rely(file); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// admit asks whether the images that p names may be used.
func (m *Manager) admit(ctx context.Context, s *store.Store, p *profile.Profile, c *composition) error {
	policy, err := m.Trust()
	if err != nil {
		return err
	}
	c.admission.inputs, c.admission.names = policy.Inputs, map[image.ID]string{}
	c.admission.said = map[image.ID]string{}
	now := time.Now()
	for _, name := range imageNames(p) {
		id, err := s.Resolve(name)
		if err != nil {
			return err
		}
		if !slices.Contains(c.images, id) {
			// Another image got the name between two looks at it.
			return &unbuilt{name, store.ErrBusy}
		}
		v, err := policy.Check(ctx, s, name, id, now)
		if err != nil {
			return err
		}
		if _, err := os.Lstat(store.TagFile(m.StoreDir(), name)); err == nil {
			c.admission.names[id] = name // and not an id, or the beginning of one
		}
		c.admission.said[id] = v.String()
		c.admission.chain = append(c.admission.chain, v.Chain...)
		if !v.Trusted {
			c.admission.untrusted = append(c.admission.untrusted, id)
		}
		if !v.Until.IsZero() && (c.admission.until.IsZero() || v.Until.Before(c.admission.until)) {
			c.admission.until = v.Until
		}
	}
	return nil
}

// facts adds what the admission was decided from.
func (a *admission) facts(f *decided.Facts, storeDir string) {
	f.Content(a.inputs...)
	for _, id := range a.chain {
		f.Content(filepath.Join(storeDir, "images", id.String()), filepath.Join(storeDir, "origins", id.String()),
			filepath.Join(storeDir, "signatures", id.String()))
	}
	if !a.until.IsZero() {
		f.Until(a.until)
	}
}

// imageNames are the names of images in p.
func imageNames(p *profile.Profile) []string {
	return slices.DeleteFunc(append([]string{p.Base, p.Runtime}, p.Components...), func(name string) bool { return name == "" || !profile.IsImage(name) || name == profile.HostBase })
}
