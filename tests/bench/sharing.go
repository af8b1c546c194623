package main

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"path/filepath"
	"sync/atomic"
	"time"

	"ninefold/roots/image"
	"ninefold/roots/pkg"
	"ninefold/roots/registry"
	"ninefold/roots/registry/testregistry"
	"ninefold/roots/store"
)

// sharing measures what a pull of an image moves, headers and all, when nine
// tenths of its packages are there.
func (b *bench) sharing(ctx context.Context) error {
	open := func(name string) (*store.Store, error) { return store.Open(filepath.Join(b.dir, name)) }
	from, err := open("sharing-from")
	if err != nil {
		return err
	}
	defer from.Close()
	to, err := open("sharing-to")
	if err != nil {
		return err
	}
	defer to.Close()
	empty, err := open("sharing-empty")
	if err != nil {
		return err
	}
	defer empty.Close()
	var moved [2]int64
	_, err = b.withRegistry(ctx, func(host string) (time.Duration, error) {
		for i, name := range []string{"first", "second"} {
			id, err := noise(ctx, from, name, i*20, i*20+200)
			if err == nil {
				err = registry.Push(ctx, from, id, host+"/"+name+":1", registry.Options{})
			}
			if err != nil {
				return 0, err
			}
		}
		if _, err := registry.Pull(ctx, to, host+"/first:1", registry.Options{}); err != nil {
			return 0, err
		}
		for i, s := range []*store.Store{to, empty} {
			w, err := newCounted(host)
			if err != nil {
				return 0, err
			}
			_, err = registry.Pull(ctx, s, w.listener.Addr().String()+"/second:1", registry.Options{})
			w.listener.Close()
			if err != nil {
				return 0, err
			}
			moved[i] = w.moved.Load()
		}
		return 0, nil
	})
	if err != nil {
		return err
	}
	q := float64(moved[0]) / float64(moved[1])
	b.table.section("a pull (" + testregistry.Program + ")")
	b.table.add(row{what: "an image of 200 packages, of which 180 are there : into an empty store, bytes moved", value: fmt.Sprintf("%.2f : %.2f MB", float64(moved[0])/1e6, float64(moved[1])/1e6),
		ratio: fmt.Sprintf("%.3f", q), target: "<= 0.12", met: q <= 0.12})
	return nil
}

// noise stores an image of the packages from one number up to another, of a few
// files each that do not compress.
func noise(ctx context.Context, s *store.Store, name string, begin, end int) (image.ID, error) {
	release, err := s.Build(ctx, name)
	if err != nil {
		return image.ID{}, err
	}
	defer release()
	m := &image.Manifest{Version: image.Version, Name: name}
	for i := begin; i < end; i++ {
		r := rand.NewChaCha8([32]byte{byte(i), byte(i >> 8)})
		p := &pkg.Package{Name: fmt.Sprintf("noise-%04d", i), Version: "1", Arch: "all"}
		for j := range 10 {
			e := pkg.Entry{Path: fmt.Sprintf("usr/share/noise/%04d-%d", i, j), Kind: pkg.File, Mode: 0o644, MTime: 1_700_000_000}
			if e.Digest, e.Size, err = s.Put(ctx, io.LimitReader(r, int64(r.Uint64()%(32<<10)))); err != nil {
				return image.ID{}, err
			}
			p.Entries = append(p.Entries, e)
		}
		if err := addTo(s, m, p); err != nil {
			return image.ID{}, err
		}
	}
	return putSorted(s, m)
}

// counted passes on what is said to a registry, and counts every byte of it.
type counted struct {
	listener net.Listener
	moved    atomic.Int64
}

func newCounted(host string) (*counted, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	w := &counted{listener: l}
	go func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", host)
			if err != nil {
				near.Close()
				continue
			}
			go w.pass(near, far)
			go w.pass(far, near)
		}
	}()
	return w, nil
}

func (w *counted) pass(to, from net.Conn) {
	defer to.Close()
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		w.moved.Add(int64(n))
		if err != nil {
			return
		}
		if _, err := to.Write(buf[:n]); err != nil {
			return
		}
	}
}
