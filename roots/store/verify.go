package store

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"ninefold/internal/progress"
	"ninefold/roots/erofs"
	"ninefold/roots/image"
	"ninefold/roots/pkg"
)

// Damage is one thing that is not as it was written.
type Damage struct {
	// Kind is "image", "package", "object" or "composed".
	Kind string `json:"kind"`
	// Digest names the record or object; zero for what was composed.
	Digest pkg.Digest `json:"digest,omitzero"`
	// Image, Package and Path say where it is used: the image's name, the
	// package's name and version, and the file's path with a leading slash. For what was
	// composed Path is the file's name in the store.
	Image   string `json:"image,omitempty"`
	Package string `json:"package,omitempty"`
	Path    string `json:"path,omitempty"`
	Why     string `json:"why"`
	// Part of it: the package record that refers to a damaged object.
	record pkg.Digest
}

// String is the damage in one line.
func (d Damage) String() string {
	switch d.Kind {
	case "object":
		return fmt.Sprintf("%s of package %s in image %s: %s (object %s)", d.Path, d.Package, d.Image, d.Why, d.Digest.Short())
	case "package":
		return fmt.Sprintf("package %s of image %s: %s (record %s)", d.Package, d.Image, d.Why, d.Digest.Short())
	case "image":
		return fmt.Sprintf("image %s: %s", d.Digest.Short(), d.Why)
	}
	return fmt.Sprintf("%s: %s", d.Path, d.Why)
}

// use is where an object is used first.
type use struct {
	image, pkg, path string
	size             int64
	record           pkg.Digest
}

// Verify reads everything that the images, or all images if none is named,
// consist of, and compares it with what it was when it was written: records,
// objects and what was composed. One flipped bit is found. It returns the damage
// in a stable order; the error is for what kept it from looking.
func (s *Store) Verify(ctx context.Context, ids ...image.ID) ([]Damage, error) {
	if len(ids) == 0 {
		var err error
		if ids, err = s.Images(); err != nil {
			return nil, err
		}
	}
	v := &verifier{s: s, seen: map[image.ID]bool{}, packages: map[pkg.Digest]string{}}
	for _, id := range ids {
		if err := v.image(ctx, id); err != nil {
			return nil, err
		}
	}
	if err := v.readPackages(ctx); err != nil {
		return nil, err
	}
	if err := v.objects(ctx); err != nil {
		return nil, err
	}
	if err := v.composed(ctx); err != nil {
		return nil, err
	}
	slices.SortFunc(v.damage, func(a, b Damage) int { return strings.Compare(a.Kind+a.String(), b.Kind+b.String()) })
	return v.damage, nil
}

type verifier struct {
	s        *Store
	seen     map[image.ID]bool
	order    []pkg.Digest
	packages map[pkg.Digest]string // and the image that has it
	names    map[pkg.Digest]string
	uses     map[pkg.Digest][]use
	mu       sync.Mutex
	damage   []Damage
}

func (v *verifier) report(d Damage) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.damage = append(v.damage, d)
}

// image notes the packages of an image and its ancestors.
func (v *verifier) image(ctx context.Context, id image.ID) error {
	for !id.IsZero() && !v.seen[id] {
		if err := ctx.Err(); err != nil {
			return err
		}
		v.seen[id] = true
		m, err := v.s.Image(id)
		if errors.Is(err, ErrVersion) || errors.Is(err, image.ErrVersion) {
			return err
		}
		if err != nil {
			v.report(Damage{Kind: "image", Digest: id, Why: err.Error()})
			return nil
		}
		for _, p := range m.Digests() {
			if _, ok := v.packages[p]; !ok {
				v.order = append(v.order, p)
				v.packages[p] = m.Name
			}
		}
		if v.names == nil {
			v.names = map[pkg.Digest]string{}
		}
		for _, r := range m.Packages {
			v.names[r.Digest] = r.Name + " " + r.Version
		}
		if !m.Finishing.IsZero() {
			v.names[m.Finishing] = "the finishing steps"
		}
		id = m.Parent
	}
	return nil
}

func (v *verifier) readPackages(ctx context.Context) error {
	read := make([]*pkg.Package, len(v.order))
	err := parallel(ctx, len(v.order), func(i int) error {
		p, err := v.s.Package(v.order[i])
		if errors.Is(err, pkg.ErrVersion) {
			return err
		}
		if err != nil {
			v.report(Damage{Kind: "package", Digest: v.order[i], Package: v.names[v.order[i]], Image: v.packages[v.order[i]], Why: err.Error(), record: v.order[i]})
		}
		read[i] = p
		return nil
	})
	if err != nil {
		return err
	}
	v.uses = map[pkg.Digest][]use{}
	for i, p := range read {
		if p == nil {
			continue
		}
		for k := range p.Entries {
			if e := &p.Entries[k]; e.Kind == pkg.File {
				id := v.order[i]
				v.uses[e.Digest] = append(v.uses[e.Digest], use{v.packages[id], v.names[id], "/" + e.Path, e.Size, id})
			}
		}
	}
	return nil
}

// objects hashes each object once.
func (v *verifier) objects(ctx context.Context) error {
	all := make([]pkg.Digest, 0, len(v.uses))
	total := int64(0)
	for d, u := range v.uses {
		all = append(all, d)
		total += u[0].size
	}
	var done atomic.Int64
	err := parallel(ctx, len(all), func(i int) error {
		d := all[i]
		uses := v.uses[d]
		why, err := v.s.checkObject(d, uses[0].size)
		if err != nil {
			return err
		}
		if why != "" {
			for _, u := range uses {
				v.report(Damage{Kind: "object", Digest: d, Image: u.image, Package: u.pkg, Path: u.path, Why: why, record: u.record})
			}
		}
		v.s.sink.Update(progress.Update{Stage: "verify", Done: done.Add(uses[0].size), Total: total, Unit: "bytes"})
		return nil
	})
	v.s.sink.Update(progress.Update{Stage: "verify", Done: done.Load(), Total: total, Unit: "bytes", End: true})
	return err
}

// checkObject says what is wrong with an object, "" if nothing is.
func (s *Store) checkObject(d pkg.Digest, size int64) (string, error) {
	f, err := s.Object(d)
	if errors.Is(err, ErrNotFound) {
		return "its content is missing", nil
	}
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	n, err := io.Copy(h, f)
	switch {
	case err != nil:
		return fmt.Sprintf("its content cannot be read: %v", err), nil
	case n != size:
		return fmt.Sprintf("its content has %d bytes instead of %d", n, size), nil
	case pkg.Digest(h.Sum(nil)) != d:
		return "its content has changed", nil
	}
	return "", nil
}

// composed checks the metadata images of the verified images, and the farms'
// objects, whose names begin with the digest of their content.
func (v *verifier) composed(ctx context.Context) error {
	const dir = "composefs"
	all, err := names(v.s.path(dir))
	if err != nil {
		return err
	}
	for _, name := range all {
		if id, err := pkg.ParseDigest(name[:min(len(name), 64)]); err != nil || !v.seen[id] {
			continue
		}
		f, err := os.Open(v.s.path(dir, name))
		if err != nil {
			return err
		}
		err = erofs.Check(f)
		f.Close()
		if err != nil {
			v.report(Damage{Kind: "composed", Path: dir + "/" + name, Why: err.Error()})
		}
	}
	shards, err := names(v.s.path("farm-objects"))
	if err != nil {
		return err
	}
	for _, shard := range shards {
		all, err := names(v.s.path("farm-objects", shard))
		if err != nil {
			return err
		}
		for _, name := range all {
			d, err := pkg.ParseDigest(name[:min(len(name), 64)])
			if _, ours := v.uses[d]; err != nil || !ours {
				continue
			}
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := v.farmObject(shard+"/"+name, d); err != nil {
				return err
			}
		}
	}
	return nil
}

func (v *verifier) farmObject(name string, d pkg.Digest) error {
	f, err := os.Open(v.s.path("farm-objects", name))
	if err != nil {
		return err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil || pkg.Digest(h.Sum(nil)) != d {
		u := v.uses[d][0]
		v.report(Damage{Kind: "composed", Path: "farm-objects/" + name, Image: u.image, Package: u.pkg,
			Why: fmt.Sprintf("its content has changed: %s of package %s", u.path, u.pkg)})
	}
	return nil
}

// Discard removes what Verify found damaged, so that the next build of the
// image makes it again: objects, the package records that refer to them, and
// what was composed. The image does not work until then. Image records are left: they
// must be removed or rebuilt by name.
func (s *Store) Discard(damage []Damage) error {
	remove := func(name string) error {
		err := os.Remove(s.path(name))
		if errors.Is(err, os.ErrNotExist) {
			return nil
		}
		return s.explain(err)
	}
	for _, d := range damage {
		var err error
		switch d.Kind {
		case "object":
			err = errors.Join(remove("objects/"+ObjectPath(d.Digest)), remove("packages/"+d.record.String()))
		case "package":
			err = remove("packages/" + d.record.String())
		case "composed":
			err = remove(d.Path)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
