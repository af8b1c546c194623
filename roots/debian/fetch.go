package debian

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"ninefold/internal/progress"
	"ninefold/roots/lock"
	"ninefold/roots/pkg"
)

// Path returns where Fetch puts a package.
func Path(cacheDir string, p lock.Package) string {
	return filepath.Join(cacheDir, p.SHA256.String())
}

// FetchFile makes dest hold the file of that size and hash at an address, as
// Fetch does of packages: over the machine's proxies, continued where an attempt broke off, whole or not at all.
func FetchFile(ctx context.Context, address, dest string, size int64, sum pkg.Digest) error {
	return fetchFile(ctx, address, dest, content{size, sum}, func(int64) {})
}

// Fetch downloads the packages of a lock that cacheDir does not hold, several
// at a time (stage "download"). A file stands there under its sha256 only when
// it has it; a download that was cut off is continued by the next call, and
// several processes may fetch into one directory. To fetch only some of the
// packages pass a copy of the lock that has only those.
//
// ErrHash names the package and both hashes; ErrGone says that the archive has
// moved on from the lock.
func Fetch(ctx context.Context, l *lock.Lock, cacheDir string, sink progress.Sink) error {
	if err := os.MkdirAll(cacheDir, 0o700); err != nil {
		return fmt.Errorf("fetch packages: %w", err)
	}
	var missing []lock.Package
	meter := newMeter(sink, "download", "")
	for _, p := range l.Packages {
		if st, err := os.Stat(Path(cacheDir, p)); err == nil && st.Size() == p.Size {
			continue
		}
		missing = append(missing, p)
		meter.add(p.Size)
	}
	// The largest first: none is left to come alone at the end.
	slices.SortStableFunc(missing, func(a, b lock.Package) int { return cmp.Compare(b.Size, a.Size) })
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(workers)
	for _, p := range missing {
		g.Go(func() error {
			if gctx.Err() != nil {
				return context.Cause(gctx)
			}
			meter.start(p.Name)
			return fetchPackage(gctx, l, p, cacheDir, meter)
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	meter.end()
	return nil
}

func fetchPackage(ctx context.Context, l *lock.Lock, p lock.Package, cacheDir string, meter *meter) error {
	address := p.URL
	if !strings.Contains(address, "://") {
		address = l.Source.Mirror + "/" + p.URL
	}
	err := fetchFile(ctx, address, Path(cacheDir, p), content{p.Size, p.SHA256}, meter.got)
	switch {
	case errors.Is(err, ErrGone):
		return fmt.Errorf("fetch %s %s: %w; the archive has moved on since the lock was made: lock %s again, or take mirror = \"http://snapshot.debian.org/archive/debian/<date>\" in [source] for what the archive held at a date", p.Name, p.Version, err, l.Recipe)
	case err != nil:
		return fmt.Errorf("fetch %s %s: %w", p.Name, p.Version, err)
	}
	return nil
}
