package main

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"ninefold/namespaces/plan"
	"ninefold/roots/driver"
	"ninefold/roots/image"
	"ninefold/roots/pkg"
	"ninefold/roots/store"
)

const (
	largeImage = 75_000 // entries
	smallImage = 7_000
	perPackage = 75 // entries
)

// images measures composing an image whose files are all in the store, and
// mounting a large and a small one.
func (b *bench) images(ctx context.Context) error {
	s, best, err := openStore(filepath.Join(b.dir, "store"))
	if err != nil {
		return err
	}
	defer s.Close()
	b.table.section("images (driver " + best.Name() + ")")

	large, err := fillStore(ctx, s, "large", largeImage)
	if err != nil {
		return err
	}
	small, err := fillStore(ctx, s, "small", smallImage)
	if err != nil {
		return err
	}
	compose := func(id image.ID) contender {
		return contender{"compose", func(ctx context.Context) (time.Duration, error) {
			if err := best.Remove(s, id, driver.Full); err != nil {
				return 0, err
			}
			start := time.Now()
			err := best.Compose(ctx, s, id, driver.Full)
			return time.Since(start), err
		}}
	}
	results, failed := interleave(ctx, 7, []contender{compose(large)})
	if err := failed["compose"]; err != nil {
		return err
	}
	d := results["compose"].median
	b.table.add(row{what: fmt.Sprintf("compose %d entries, records read and all, from a full store", largeImage),
		value: fmt.Sprintf("%.3f s", d.Seconds()), target: "<= 0.6 s", met: d <= 600*time.Millisecond})
	if err := best.Compose(ctx, s, small, driver.Full); err != nil {
		return err
	}
	return b.mounts(ctx, s, best, large, small)
}

// openStore opens a store, and finds the best driver for it.
func openStore(dir string) (*store.Store, driver.Driver, error) {
	s, err := store.Open(dir)
	if err != nil {
		return nil, nil, err
	}
	best, _ := driver.Probe(s.Dir())
	if best == nil {
		s.Close()
		return nil, nil, fmt.Errorf("no driver works on this machine: sessionctl doctor says why")
	}
	return s, best, nil
}

// mounts measures the mount alone, in a mount namespace of its own.
func (b *bench) mounts(ctx context.Context, s *store.Store, drv driver.Driver, large, small image.ID) error {
	at := filepath.Join(b.dir, "mounted")
	meta := filepath.Join(b.dir, "meta")
	for _, d := range []string{at, meta} {
		if err := unix.Mkdir(d, 0o755); err != nil {
			return err
		}
	}
	private, err := newRoom(func() error { return nil })
	if err != nil {
		return err
	}
	var cs []contender
	for name, id := range map[string]image.ID{"large": large, "small": small} {
		layers, err := drv.Layers(s, id, driver.Full)
		if err != nil {
			return err
		}
		if len(layers) != 1 || layers[0].Kind != plan.LayerComposefs {
			b.table.note("the mount rows need the composefs driver, which this kernel does not have.")
			return nil
		}
		l := layers[0]
		cs = append(cs, contender{name, func(ctx context.Context) (d time.Duration, err error) {
			done := make(chan struct{})
			private.work <- func() { d, err = mountOnce(l, meta, at); close(done) }
			<-done
			return d, err
		}})
	}
	results, failed := interleave(ctx, 100, cs)
	for _, err := range failed {
		return err
	}
	l, m := results["large"].median, results["small"].median
	q := ratio(l, m)
	b.table.add(row{what: fmt.Sprintf("mount an image of %d entries : one of %d", largeImage, smallImage),
		value: fmt.Sprintf("%.3f : %.3f ms", ms(l), ms(m)), ratio: fmt.Sprintf("%.2f", q), target: "<= 1.3", met: q <= 1.3})
	return nil
}

// mountOnce mounts a layer as a read-only overlay, looks at its root, and takes
// it off again; only the former is timed.
func mountOnce(l plan.Layer, meta, at string) (time.Duration, error) {
	start := time.Now()
	if err := unix.Mount(l.Source, meta, "erofs", unix.MS_RDONLY, ""); err != nil {
		return 0, fmt.Errorf("mount %s: %w", l.Source, err)
	}
	defer unix.Unmount(meta, 0)
	if err := unix.Mount("overlay", at, "overlay", unix.MS_RDONLY, "metacopy=on,redirect_dir=on,lowerdir="+meta+"::"+l.Data); err != nil {
		return 0, fmt.Errorf("overlay over %s: %w", l.Source, err)
	}
	d := time.Since(start)
	defer unix.Unmount(at, 0)
	var st unix.Stat_t
	return d, unix.Stat(filepath.Join(at, "usr/share/bench"), &st)
}

// fillStore puts an image of n made-up entries into the store. Small files
// with content of their own are what fills real images.
func fillStore(ctx context.Context, s *store.Store, name string, n int) (image.ID, error) {
	return fillOver(ctx, s, image.ID{}, name, n)
}

// fillOver is fillStore for an image on a parent.
func fillOver(ctx context.Context, s *store.Store, parent image.ID, name string, n int) (image.ID, error) {
	release, err := s.Build(ctx, name)
	if err != nil {
		return image.ID{}, err
	}
	defer release()
	r := rand.New(rand.NewPCG(1, uint64(n)))
	m := &image.Manifest{Version: image.Version, Name: name, Parent: parent}
	place := ""
	if !parent.IsZero() {
		place = name + "-"
	}
	for i := range n / perPackage {
		p := &pkg.Package{Name: fmt.Sprintf("%s-%04d", name, i), Version: "1", Arch: "all"}
		top := fmt.Sprintf("usr/share/bench/%s%04d", place, i)
		p.Entries = append(p.Entries, pkg.Entry{Path: top, Kind: pkg.Dir, Mode: 0o755})
		for j := range perPackage - 1 {
			e := pkg.Entry{Path: fmt.Sprintf("%s/entry-with-a-name-%03d", top, j), Kind: pkg.File, Mode: 0o644, MTime: 1_700_000_000}
			if j%8 == 7 {
				e.Kind, e.Mode, e.Target = pkg.Symlink, 0o777, "entry-with-a-name-000"
			} else {
				text := bytes.Repeat(fmt.Appendf(nil, "%s %d %d\n", name, i, j), 1+r.IntN(200))
				if e.Digest, e.Size, err = s.Put(ctx, bytes.NewReader(text)); err != nil {
					return image.ID{}, err
				}
			}
			p.Entries = append(p.Entries, e)
		}
		if err := addTo(s, m, p); err != nil {
			return image.ID{}, err
		}
	}
	return putSorted(s, m)
}

// addTo stores a package of an image.
func addTo(s *store.Store, m *image.Manifest, p *pkg.Package) error {
	p.Sort()
	id, err := s.PutPackage(p)
	m.Packages = append(m.Packages, image.Ref{Name: p.Name, Version: p.Version, Digest: id})
	return err
}

func putSorted(s *store.Store, m *image.Manifest) (image.ID, error) {
	slices.SortFunc(m.Packages, func(a, b image.Ref) int { return bytes.Compare(a.Digest[:], b.Digest[:]) })
	return s.PutImage(m)
}
