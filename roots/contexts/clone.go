package contexts

import (
	"context"
	"path/filepath"
	"time"
)

// Clone makes another context that stands where the claimed one stands and holds
// what it holds now, without its earlier states. With a size in bytes it is bounded.
func (c *Claim) Clone(ctx context.Context, name string, size int64, now time.Time) (Record, error) {
	of := c.rec
	made := Record{Name: name, Owner: of.Owner, Created: now, Stands: of.Stands, Asked: of.Asked, Size: size}
	return c.s.CreateFilled(ctx, made, func(layers string, r *Record) error {
		// Into the directory that is there.
		if err := c.copyTo(ctx, of.Layer, filepath.Join(layers, r.Layer), "-T"); err != nil {
			return err
		}
		if of.Stands.Pin == "" {
			return nil
		}
		r.Last++
		r.Stands.Pin = "2"
		var options []string
		if of.Size == 0 && size == 0 {
			// On one file system: nobody writes to a pin, so its files can be both's.
			options = []string{"--link"}
		}
		return c.copyTo(ctx, of.Stands.Pin, filepath.Join(layers, r.Stands.Pin), options...)
	})
}
