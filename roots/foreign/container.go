package foreign

import (
	"cmp"
	"context"
	"fmt"

	"ninefold/roots/deb"
	"ninefold/roots/pkg"
	"ninefold/roots/registry"
	"ninefold/roots/store"
)

// Container brings an image of containers, its layers joined to one package, or one of its layers
// alone. from is where it lies, for people.
func Container(ctx context.Context, s *store.Store, c *registry.Container, from string, o Options) (*Result, error) {
	layers := c.Layers
	if o.Layer != 0 {
		if o.Layer < 1 || o.Layer > len(layers) {
			return nil, fmt.Errorf("%s: %w: it has %d layers, and no layer %d", from, ErrLayer, len(layers), o.Layer)
		}
		layers = layers[o.Layer-1 : o.Layer]
	}
	o.Reference = cmp.Or(o.Reference, c.Reference)
	version := c.Digest.String()
	if o.Layer != 0 {
		version += fmt.Sprintf("-%d", o.Layer)
	}
	as := deb.Identity{Version: version, Arch: c.Architecture}
	return put(ctx, s, as, environment(c.Environment), from, o, func(as deb.Identity, with deb.Options) (*pkg.Package, *deb.Notes, error) {
		return deb.FromLayers(ctx, layers, as, s, with)
	})
}
