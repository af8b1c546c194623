package rebuild

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"ninefold/roots/driver"
	"ninefold/roots/image"
	"ninefold/roots/pkg"
	"ninefold/roots/store"
)

// ErrDiffers says that two builds of one lock did not give the same.
var ErrDiffers = errors.New("two builds differ")

// Difference is one thing that two builds of an image do not agree on.
type Difference struct {
	Image string `json:"image"`
	// Package names the package, "" for the image as a whole.
	Package string `json:"package,omitempty"`
	// Path is the file, "" for what is of no file.
	Path string `json:"path,omitempty"`
	// What lists how it differs, in the words of image.FileChange; a file of one
	// build alone is "missing" in the other. For an image as a whole: "packages",
	// "environment", "lock", "host", "order" for the bytes of its metadata, and
	// "export to tar" and the like for those of an export.
	What []string `json:"what"`
	// By names the finishing steps that made the file.
	By []string `json:"by,omitempty"`
}

// Compare compares the images of two stores pair by pair, the first of a pair in
// a and the second in b: every package, what finished the image and, if all of
// that is the same, the bytes of the metadata image. What the stores hold of them
// is read again and compared with its digests: damage is an error that wraps
// store.ErrDamaged. The caller holds leases of the images. Exports goes on from there.
func Compare(ctx context.Context, a, b *store.Store, pairs [][2]image.ID) ([]Difference, error) {
	var found []Difference
	ids := map[*store.Store][]image.ID{}
	for _, p := range pairs {
		c := &comparison{a: a, b: b}
		if err := c.images(ctx, p[0], p[1]); err != nil {
			return nil, err
		}
		found = append(found, c.found...)
		ids[a], ids[b] = append(ids[a], p[0]), append(ids[b], p[1])
	}
	for s, of := range ids {
		damage, err := s.Verify(ctx, of...)
		if err != nil {
			return nil, err
		}
		if len(damage) > 0 {
			return nil, fmt.Errorf("store %s: %s: %w", s.Dir(), damage[0], store.ErrDamaged)
		}
	}
	return found, nil
}

type comparison struct {
	a, b  *store.Store
	name  string
	found []Difference
}

func (c *comparison) add(d Difference) {
	d.Image = c.name
	c.found = append(c.found, d)
}

func (c *comparison) images(ctx context.Context, ia, ib image.ID) error {
	a, err := c.a.Image(ia)
	if err != nil {
		return err
	}
	b, err := c.b.Image(ib)
	if err != nil {
		return err
	}
	c.name = a.Name
	c.manifests(a, b)
	if err := c.packages(a, b); err != nil {
		return err
	}
	if err := c.finishing(ia, ib, a, b); err != nil {
		return err
	}
	if ia == ib {
		return c.metadata(ctx, ia)
	}
	if len(c.found) == 0 && a.Parent == b.Parent {
		c.add(Difference{What: []string{"manifest"}})
	}
	return nil
}

func (c *comparison) manifests(a, b *image.Manifest) {
	for _, of := range []struct {
		what string
		same bool
	}{
		{"environment", maps.Equal(a.Environment, b.Environment)},
		{"lock", a.Lock == b.Lock},
		{"host", a.Host == b.Host},
	} {
		if !of.same {
			c.add(Difference{What: []string{of.what}})
		}
	}
	for _, p := range slices.Compact(slices.Sorted(slices.Values(slices.Concat(a.Removed, b.Removed)))) {
		if slices.Contains(a.Removed, p) != slices.Contains(b.Removed, p) {
			c.add(Difference{Path: p, What: []string{"removed"}})
		}
	}
}

// packages compares those that are not the same by digest, by name.
func (c *comparison) packages(a, b *image.Manifest) error {
	for _, p := range image.DiffPackages([]*image.Manifest{a}, []*image.Manifest{b}) {
		if p.OldDigest.IsZero() || p.NewDigest.IsZero() {
			c.add(Difference{Package: p.Name, What: []string{"missing"}})
			continue
		}
		if err := c.one(p.Name, p.OldDigest, p.NewDigest, nil); err != nil {
			return err
		}
	}
	return nil
}

func (c *comparison) finishing(ia, ib image.ID, a, b *image.Manifest) error {
	if a.Finishing == b.Finishing {
		return nil
	}
	// The files are what counts; which step made one helps to find out why.
	var steps []*pkg.Package
	for s, id := range map[*store.Store]image.ID{c.a: ia, c.b: ib} {
		list, err := s.Finished(id)
		if err != nil {
			return err
		}
		steps = append(steps, list...)
	}
	return c.one("", a.Finishing, b.Finishing, func(path string) (by []string) {
		for _, s := range steps {
			if s.Entry(path) != nil {
				by = append(by, strings.TrimPrefix(s.Name, "finish-"))
			}
		}
		slices.Sort(by)
		return slices.Compact(by)
	})
}

// one compares two packages entry by entry; the zero digest is one that holds
// nothing.
func (c *comparison) one(name string, a, b pkg.Digest, by func(path string) []string) error {
	pa, err := load(c.a, a)
	if err != nil {
		return err
	}
	pb, err := load(c.b, b)
	if err != nil {
		return err
	}
	changes := image.DiffEntries(pa.Entries, pb.Entries)
	for _, f := range changes {
		d := Difference{Package: name, Path: f.Path, What: f.What}
		if f.Change != "changed" {
			d.What = []string{"missing"}
		}
		if by != nil {
			d.By = by(f.Path)
		}
		c.add(d)
	}
	if len(changes) == 0 {
		c.add(Difference{Package: name, What: []string{"declared"}})
	}
	return nil
}

func load(s *store.Store, id pkg.Digest) (*pkg.Package, error) {
	if id.IsZero() {
		return &pkg.Package{}, nil
	}
	return s.Package(id)
}

// metadata compares the metadata images byte by byte. They are made of what has
// been found equal, so nothing but the order of something can differ.
func (c *comparison) metadata(ctx context.Context, id image.ID) error {
	a, err := composed(ctx, c.a, id)
	if err != nil {
		return err
	}
	b, err := composed(ctx, c.b, id)
	if err != nil {
		return err
	}
	if len(a) != len(b) { // one store is from before there were stacks
		for s, list := range map[*store.Store]*[][]byte{c.a: &a, c.b: &b} {
			whole, err := driver.Metadata(ctx, s, id)
			if err != nil {
				return err
			}
			*list = [][]byte{whole}
		}
	}
	if !slices.EqualFunc(a, b, bytes.Equal) {
		c.add(Difference{What: []string{"order"}})
	}
	return nil
}

// composed reads the metadata images that a session on the image mounts.
func composed(ctx context.Context, s *store.Store, id image.ID) ([][]byte, error) {
	if err := (driver.Composefs{}).Compose(ctx, s, id, driver.Full); err != nil {
		return nil, err
	}
	layers, err := driver.Composefs{}.Layers(s, id, driver.Full)
	if err != nil {
		return nil, err
	}
	var files [][]byte
	for _, l := range layers {
		b, err := os.ReadFile(l.Source)
		if err != nil {
			return nil, fmt.Errorf("metadata image of %s: %w", id.Short(), err)
		}
		files = append(files, b)
	}
	return files, nil
}
