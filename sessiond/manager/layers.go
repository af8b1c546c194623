package manager

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"ninefold/namespaces/plan"
	"ninefold/roots/driver"
	"ninefold/roots/store"
)

// layersOf returns the layers of a piece, topmost first. What an image build
// composed is there already; what it could not know of, the part of an image
// that a merge needs, is composed the first time.
func (m *Manager) layersOf(ctx context.Context, s *store.Store, p piece) ([]plan.Layer, error) {
	d, err := m.driver(s)
	if err != nil {
		return nil, err
	}
	part := driver.Full
	if !p.Above.IsZero() {
		part = driver.Own(p.Above)
	}
	layers, err := d.Layers(s, p.Image, part)
	if errors.Is(err, driver.ErrNotComposed) {
		if err = d.Compose(ctx, s.WithProgress(m.sink), p.Image, part); err == nil {
			layers, err = d.Layers(s, p.Image, part)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("layers of image %s: %w", p.Name, err)
	}
	return layers, nil
}

// chosen is the record of which driver works on a kernel.
type chosen struct {
	Driver string `json:"driver"`
}

// driver returns the best way to mount images on this kernel. Finding out
// mounts things, so the answer is kept until another kernel runs.
func (m *Manager) driver(s *store.Store) (driver.Driver, error) {
	var u unix.Utsname
	_ = unix.Uname(&u) // fails for a bad address alone
	name := m.derived("drivers", unix.ByteSliceToString(u.Release[:]))
	if b, err := readBounded(name, 4096); err == nil {
		var c chosen
		if json.Unmarshal(b, &c) == nil {
			if d, err := driver.ByName(c.Driver); err == nil {
				return d, nil
			}
		}
	}
	var d driver.Driver = driver.Composefs{}
	if s == nil {
		return nil, errors.ErrUnsupported
	}
	_ = writeRecord(name, chosen{d.Name()}) // kept to save time alone
	return d, nil
}
