package build

import (
	"errors"
	"fmt"
	"maps"
	"path"

	"ninefold/roots/debian"
	"ninefold/roots/finish"
	"ninefold/roots/lock"
	"ninefold/roots/pkg"
	"ninefold/roots/store"
)

// maxControl bounds a control paragraph of a parent's package, in bytes.
const maxControl = 1 << 20

// standOn finds the image that the chain stands on, if it stands on one: the
// one that the lock names, or, to make a new lock, what the reference stands
// for now. Whether it is trusted is asked of who uses what is built on it, each time.
func (j *job) standOn(known *lock.Lock) error {
	reference := j.chain.OnImage()
	if reference == "" || len(j.chain) > 1 {
		return nil
	}
	id, err := pkg.Digest{}, error(nil)
	if known != nil {
		if id = known.Parent; id.IsZero() {
			return fmt.Errorf("%w: the lock of %s names no image for from = %q; lock it again", lock.ErrStale, j.recipe.Name, reference)
		}
	} else if id, err = j.Store.Resolve(reference); err != nil {
		return fmt.Errorf("recipe %s comes from an image: %w", j.recipe.Name, err)
	}
	lease, err := j.Store.Lease(id)
	if errors.Is(err, store.ErrNotFound) && known != nil {
		return fmt.Errorf("recipe %s was locked on image %s of %s: %w; get that image, or lock again on what the name stands for now", j.recipe.Name, id.Short(), reference, err)
	}
	if err != nil {
		return fmt.Errorf("recipe %s comes from an image: %w", j.recipe.Name, err)
	}
	j.leases = append(j.leases, lease)
	j.parent = id
	chain, err := j.Store.Chain(id)
	if err != nil {
		return err
	}
	j.inherited = map[string]string{}
	for _, m := range chain {
		maps.Copy(j.inherited, m.Environment)
		for _, r := range m.Packages {
			p, ok, err := j.installed(r.Digest)
			if err != nil {
				return fmt.Errorf("package %s of image %s: %w", r.Name, m.Name, err)
			}
			if ok {
				j.below = append(j.below, p)
			}
		}
	}
	return nil
}

// installed reads what a solver has to know of a package of the store; not ok
// for one that did not come as a .deb.
func (j *job) installed(id pkg.Digest) (lock.Package, bool, error) {
	p, err := j.Store.Package(id)
	if err != nil {
		return lock.Package{}, false, err
	}
	e := p.Entry(path.Join(finish.ControlDir, p.Name))
	if e == nil || e.Kind != pkg.File {
		return lock.Package{}, false, nil
	}
	text, err := j.Store.Content(e, maxControl)
	if err != nil {
		return lock.Package{}, false, err
	}
	d, err := debian.Described(string(text))
	return d, err == nil, err
}
