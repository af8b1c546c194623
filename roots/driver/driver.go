// Package driver turns an image of the store into layers that a session can
// mount. Which way works depends on the kernel; Probe finds out.
package driver

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"ninefold/namespaces/plan"
	"ninefold/roots/image"
	"ninefold/roots/store"
)

// What callers need to tell apart.
var (
	// ErrNotComposed: Layers was asked before Compose.
	ErrNotComposed = errors.New("not composed yet")
	// ErrUnknown: there is no driver of that name.
	ErrUnknown = errors.New("no such driver")
	// ErrNotAncestor: the Part names an image that is not in the chain.
	ErrNotAncestor = errors.New("not an ancestor")
)

// Part says how much of an image's chain is composed.
type Part struct {
	// Above leaves out this ancestor and its own ancestors, for a session that
	// has them, or something that can stand for them, as its base. The zero ID takes the whole chain.
	Above image.ID
}

// Full is the whole chain.
var Full = Part{}

// Own is what lies above the ancestor base.
func Own(base image.ID) Part { return Part{Above: base} }

// String is the part's name in messages and file names.
func (p Part) String() string {
	if p.Above.IsZero() {
		return "full"
	}
	return "above-" + p.Above.String()
}

// Driver composes images in one way. Drivers hold no state: everything lies
// in the store.
type Driver interface {
	Name() string
	// Compose makes part of image id mountable. It is atomic and durable; what
	// is composed already stays. It takes a lease of the image while it works.
	Compose(ctx context.Context, s *store.Store, id image.ID, part Part) error
	// Layers returns how to mount it, topmost first. It only looks whether the
	// files are there: a login calls it. The caller holds a lease of the image as long as they are
	// mounted.
	Layers(s *store.Store, id image.ID, part Part) ([]plan.Layer, error)
	// Remove deletes what Compose made for the part; nothing may have it mounted.
	Remove(s *store.Store, id image.ID, part Part) error
}

// All returns every driver, best first.
func All() []Driver { return []Driver{Composefs{}, Loop{}, Farm{}} }

// ByName returns the driver of that name, or an error that wraps ErrUnknown and lists
// the names.
func ByName(name string) (Driver, error) {
	var names []string
	for _, d := range All() {
		if d.Name() == name {
			return d, nil
		}
		names = append(names, d.Name())
	}
	return nil, fmt.Errorf("driver %q: %w; there are %s", name, ErrUnknown, strings.Join(names, ", "))
}

// fileName names what is composed of a part. The store's collection goes by
// the image id that it begins with.
func fileName(id image.ID, part Part) string {
	if part.Above.IsZero() {
		return id.String()
	}
	return id.String() + "-" + part.Above.String()
}

// load reads the part's tree.
func load(ctx context.Context, s *store.Store, id image.ID, part Part) (*image.Tree, error) {
	_, tree, err := read(ctx, s, id, part)
	return tree, err
}

// read reads the chain, root first, and the part's tree.
func read(ctx context.Context, s *store.Store, id image.ID, part Part) ([]image.Built, *image.Tree, error) {
	chain, err := s.Chain(id)
	if err != nil {
		return nil, nil, err
	}
	above := 0
	if !part.Above.IsZero() {
		for i, m := range chain[:len(chain)-1] {
			if m.ID() == part.Above {
				above = i + 1
			}
		}
		if above == 0 {
			return nil, nil, fmt.Errorf("image %s: image %s is %w of it", id.Short(), part.Above.Short(), ErrNotAncestor)
		}
	}
	built, err := s.Built(ctx, chain)
	if err != nil {
		return nil, nil, err
	}
	tree, err := image.Flatten(built)
	if err != nil || above == 0 {
		return built, tree, err
	}
	base, err := image.Flatten(built[:above])
	if err != nil {
		return nil, nil, err
	}
	return built, tree.Above(base, above), nil
}

// Tree reads what image id and its ancestors hold. The caller holds a lease of the image.
func Tree(ctx context.Context, s *store.Store, id image.ID) (*image.Tree, error) {
	return load(ctx, s, id, Full)
}
