package store

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"

	"golang.org/x/sync/errgroup"

	"ninefold/roots/pkg"
)

// PutPackage stores the record of p and returns its id. Every object it names
// must have been put before. The record counts at once, and is durable after the next Sync.
func (s *Store) PutPackage(p *pkg.Package) (pkg.Digest, error) {
	b, err := p.Encode()
	if err != nil {
		return pkg.Digest{}, err
	}
	id := pkg.Digest(sha256.Sum256(b))
	if s.HasPackage(id) {
		return id, nil
	}
	if err := s.beginWrite(context.Background()); err != nil {
		return pkg.Digest{}, s.explain(err)
	}
	defer s.ended.Add(1)
	for i := range p.Entries {
		e := &p.Entries[i]
		if e.Kind == pkg.File && e.Link == "" && !s.hasSize(e.Digest, e.Size) {
			return pkg.Digest{}, fmt.Errorf("package %s: the content of /%s (object %s, %d bytes) is not in the store: %w", p.Name, e.Path, e.Digest.Short(), e.Size, ErrNotFound)
		}
	}
	if err := s.write("pending/"+s.boot+"/"+id.String(), b, false); err != nil {
		return pkg.Digest{}, s.explain(err)
	}
	return id, nil
}

// Package reads a package record and checks that it is the one named id.
func (s *Store) Package(id pkg.Digest) (*pkg.Package, error) {
	b, err := s.packageRecord(id)
	if err != nil {
		return nil, err
	}
	if sha256.Sum256(b) != id {
		return nil, fmt.Errorf("package record %s: %w: its content does not match its name", id.Short(), ErrDamaged)
	}
	p, err := pkg.Decode(b)
	if err != nil {
		return nil, fmt.Errorf("package record %s: %w", id.Short(), err)
	}
	return p, nil
}

// HasPackage reports whether a package record is there.
func (s *Store) HasPackage(id pkg.Digest) bool {
	for _, path := range s.packagePaths(id) {
		if info, err := os.Lstat(path); err == nil && info.Mode().IsRegular() {
			return true
		}
	}
	return false
}

// packagePaths are where a record may lie. Sync moves it from the first to the
// second; the first is looked at again in case it moved in between the other way round.
func (s *Store) packagePaths(id pkg.Digest) []string {
	return []string{s.path("packages", id.String()), s.path("pending", s.boot, id.String()), s.path("packages", id.String())}
}

func (s *Store) packageRecord(id pkg.Digest) ([]byte, error) {
	for _, path := range s.packagePaths(id) {
		b, err := readFile(path)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, s.explain(err)
		}
		return b, nil
	}
	return nil, fmt.Errorf("package %s: %w", id.Short(), ErrNotFound)
}

// Packages reads several records, on all processors, and returns them in the
// order of ids.
func (s *Store) Packages(ctx context.Context, ids []pkg.Digest) ([]*pkg.Package, error) {
	out := make([]*pkg.Package, len(ids))
	err := parallel(ctx, len(ids), func(i int) (err error) {
		out[i], err = s.Package(ids[i])
		return err
	})
	return out, err
}

// parallel runs f for 0 to n-1 on all processors until one fails or ctx is done.
func parallel(ctx context.Context, n int, f func(i int) error) error {
	g, ctx := errgroup.WithContext(ctx)
	var mu sync.Mutex
	next := 0
	for range min(runtime.GOMAXPROCS(0), n) {
		g.Go(func() error {
			for {
				mu.Lock()
				i := next
				next++
				mu.Unlock()
				if i >= n {
					return nil
				}
				if err := ctx.Err(); err != nil {
					return context.Cause(ctx)
				}
				if err := f(i); err != nil {
					return err
				}
			}
		})
	}
	return g.Wait()
}

// packageIDs lists the durable package records.
func (s *Store) packageIDs() ([]pkg.Digest, error) { return digests(s.path("packages")) }

// digests lists the files of a directory whose names are digests.
func digests(dir string) ([]pkg.Digest, error) {
	all, err := names(dir)
	if err != nil {
		return nil, err
	}
	var ids []pkg.Digest
	for _, name := range all {
		if d, err := pkg.ParseDigest(name); err == nil {
			ids = append(ids, d)
		}
	}
	return ids, nil
}
