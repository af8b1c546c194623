package manager

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"ninefold/internal/regular"
	"ninefold/namespaces/plan"
	"ninefold/roots/driver"
	"ninefold/roots/store"
	"ninefold/sessiond/doctor"
	"ninefold/sessiond/profile"
)

// layersOf returns the layers of a piece, topmost first. What an image build
// composed is there already; what it could not know of, the part of an image
// that a merge needs, is composed the first time.
func (m *Manager) layersOf(ctx context.Context, s *store.Store, p piece) ([]plan.Layer, error) {
	d, err := m.Driver(s)
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

// Driver returns the best way to mount images on this kernel. Finding out
// mounts things, so the answer is kept until another kernel runs.
func (m *Manager) Driver(s *store.Store) (driver.Driver, error) {
	var u unix.Utsname
	_ = unix.Uname(&u) // fails for a bad address alone
	name := m.derived("drivers", unix.ByteSliceToString(u.Release[:]))
	if b, err := regular.Read(name, 4096); err == nil {
		if d, err := driver.ByName(string(b)); err == nil {
			return d, nil
		}
	}
	d, findings := driver.Probe(s.Dir())
	if d == nil {
		return nil, &noDriver{findings}
	}
	_ = writeRecord(name, []byte(d.Name())) // kept to save time alone
	return d, nil
}

// ErrNoDriver says that no way to mount images works here.
var ErrNoDriver = errors.New("images cannot be mounted on this machine")

type noDriver struct{ findings []driver.Finding }

func (e *noDriver) Error() string {
	text := ErrNoDriver.Error()
	for _, f := range e.findings {
		text += "\n" + f.Driver + ": " + f.Why
	}
	return text
}

func (e *noDriver) Is(target error) bool { return target == ErrNoDriver }

// Hint returns what is known to help the best driver.
func (e *noDriver) Hint() string {
	for _, f := range e.findings {
		if f.Hint != "" {
			return f.Hint
		}
	}
	return ""
}

// Drivers reports what this machine can do with images, for doctor.
func (m *Manager) Drivers() []doctor.Finding {
	dir := m.StoreDir()
	if _, err := os.Stat(dir); err != nil {
		// Where the store will be is mostly the file system of the nearest
		// directory above that exists.
		for dir = m.state; dir != "/"; dir = filepath.Dir(dir) {
			if _, err := os.Stat(dir); err == nil {
				break
			}
		}
	}
	if os.Geteuid() != 0 {
		return []doctor.Finding{{Area: "images", Name: "drivers", State: doctor.Unknown, Detail: "not tried", Then: "run doctor as root to try them"}}
	}
	best, findings := driver.Probe(dir)
	var out []doctor.Finding
	for _, f := range findings {
		d := doctor.Finding{Area: "images", Name: "driver " + f.Driver, For: "sessions on images", State: doctor.OK}
		switch {
		case !f.OK && best == nil:
			d.State, d.Detail, d.Then = doctor.Missing, f.Why, f.Hint
		case !f.OK:
			d.State, d.Detail, d.Then = doctor.Fallback, f.Why, best.Name()+" takes its place"
		case f.Driver == best.Name():
			d.Detail = "used for images in " + dir
		}
		out = append(out, d)
	}
	return out
}

// Ready decides and composes what the profiles whose images are there need, so
// that a session start finds it. What cannot be made ready is left: it is told
// to whoever uses that profile.
func (m *Manager) Ready(ctx context.Context) {
	for _, e := range m.Profiles().List() {
		if e.Err != nil || ctx.Err() != nil {
			continue
		}
		if _, ok := profile.Context(e.Profile.Base); ok {
			continue // nothing of it is composed, and others may want it
		}
		if c, err := m.compose(ctx, e.Profile, true); err == nil {
			c.release()
		}
	}
}
