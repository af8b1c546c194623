package build

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"ninefold/internal/progress"
	"ninefold/roots/deb"
	"ninefold/roots/debian"
	"ninefold/roots/finish"
	"ninefold/roots/image"
	"ninefold/roots/lock"
	"ninefold/roots/pkg"
)

// fetchers is how many packages are on their way at once.
const fetchers = 8

// packages returns the image's own packages as the manifest lists them.
// Downloading and converting overlap: each package is converted as soon as it
// is there, the largest first, on all processors.
func (j *job) packages(ctx context.Context) ([]image.Ref, error) {
	start := time.Now()
	defer func() { j.image.timed("packages", start) }()
	options := deb.Options{Exclude: j.recipe.Exclude, Accept: j.recipe.Declare.Accept}
	refs := slices.Clone(j.imported)
	if j.recipe.From == "" {
		layout, err := j.put(deb.Layout(j.lock.Arch))
		if err != nil {
			return nil, err
		}
		refs = append(refs, layout)
	}
	var missing []lock.Package
	for _, p := range j.lock.Packages {
		if id, ok := j.Store.Converted(conversionKey(options, p)); ok {
			refs = append(refs, image.Ref{Name: p.Name, Version: p.Version, Digest: id})
		} else {
			missing = append(missing, p)
		}
	}
	j.image.Converted = len(missing)
	made, err := j.convertAll(ctx, missing, options)
	if err != nil {
		return nil, err
	}
	refs = append(refs, made...)
	slices.SortFunc(refs, func(a, b image.Ref) int { return strings.Compare(a.Digest.String(), b.Digest.String()) })
	return refs, nil
}

func (j *job) put(p *pkg.Package) (image.Ref, error) {
	id, err := j.Store.PutPackage(p)
	return image.Ref{Name: p.Name, Version: p.Version, Digest: id}, err
}

// convertAll fetches and converts packages, and returns them in any order.
func (j *job) convertAll(ctx context.Context, missing []lock.Package, options deb.Options) ([]image.Ref, error) {
	if len(missing) == 0 {
		return nil, nil
	}
	if err := j.checkOffline(missing); err != nil {
		return nil, err
	}
	slices.SortStableFunc(missing, func(a, b lock.Package) int { return int(min(max(b.Size-a.Size, -1), 1)) })
	refs := make([]image.Ref, len(missing))
	var done atomic.Int64
	report := func(item string, end bool) {
		j.Progress.Update(progress.Update{Stage: "unpack", Item: item, Done: done.Load(), Total: int64(len(missing)), Unit: "packages", End: end})
	}
	meter := &meter{sink: j.Progress}
	for _, p := range missing {
		meter.total += p.Size
	}

	ready := make(chan int, len(missing))
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		defer close(ready)
		fetch, ctx := errgroup.WithContext(ctx)
		fetch.SetLimit(fetchers)
		for i, p := range missing {
			fetch.Go(func() error {
				if ctx.Err() != nil {
					return context.Cause(ctx)
				}
				one := *j.lock
				one.Packages = []lock.Package{p}
				if err := debian.Fetch(ctx, &one, j.debs(), meter.of(p.Size)); err != nil {
					return err
				}
				ready <- i
				return nil
			})
		}
		err := fetch.Wait()
		meter.end()
		return err
	})
	for range runtime.GOMAXPROCS(0) {
		g.Go(func() error {
			for i := range ready {
				if err := ctx.Err(); err != nil {
					return context.Cause(ctx)
				}
				p := missing[i]
				report(p.Name, false)
				ref, err := j.convert(ctx, p, options)
				if err != nil {
					return err
				}
				refs[i] = ref
				done.Add(1)
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	report("", true)
	return refs, nil
}

func (j *job) checkOffline(missing []lock.Package) error {
	if !j.Offline {
		return nil
	}
	for _, p := range missing {
		if _, err := os.Stat(debian.Path(j.debs(), p)); err != nil {
			return fmt.Errorf("%w: %s %s is not in %s", ErrOffline, p.Name, p.Version, j.debs())
		}
	}
	return nil
}

// conversionKey names the plain package of a .deb. A package holds its control
// paragraph besides what deb.Convert gives; the number changes with how.
func conversionKey(o deb.Options, p lock.Package) string {
	return "status 1 " + o.CacheKey(p.SHA256, p.Name)
}

// convert makes the plain package of one .deb and notes it in the conversion
// cache.
func (j *job) convert(ctx context.Context, p lock.Package, options deb.Options) (image.Ref, error) {
	f, err := os.Open(filepath.Clean(debian.Path(j.debs(), p)))
	if err != nil {
		return image.Ref{}, fmt.Errorf("package %s: %w", p.Name, err)
	}
	defer f.Close()
	var control []byte
	options.Control = func(text []byte) { control = text }
	made, err := deb.Convert(ctx, f, j.Store, options)
	if err != nil {
		return image.Ref{}, err
	}
	if made.Name != p.Name || made.Version != p.Version {
		return image.Ref{}, fmt.Errorf("package %s %s: the file from %s is %s %s: %w", p.Name, p.Version, p.URL, made.Name, made.Version, deb.ErrMalformed)
	}
	if err := j.addControl(ctx, made, control); err != nil {
		return image.Ref{}, err
	}
	ref, err := j.put(made)
	if err != nil {
		return image.Ref{}, err
	}
	return ref, j.Store.SetConverted(conversionKey(options, p), ref.Digest)
}

// addControl puts the control paragraph into the package, where the dpkg step
// and scanners of images find it. It is as old as the newest file beside it.
func (j *job) addControl(ctx context.Context, p *pkg.Package, text []byte) error {
	e := pkg.Entry{Path: path.Join(finish.ControlDir, p.Name), Kind: pkg.File, Mode: 0o644}
	if p.Entry(e.Path) != nil {
		return nil
	}
	for i := range p.Entries {
		e.MTime = max(e.MTime, p.Entries[i].MTime)
	}
	var err error
	if e.Digest, e.Size, err = j.Store.Put(ctx, bytes.NewReader(text)); err != nil {
		return err
	}
	p.Entries = append(p.Entries, e)
	p.Sort()
	return nil
}

// meter adds up the downloads of many packages into one report.
type meter struct {
	sink  progress.Sink
	total int64
	mu    sync.Mutex
	done  int64
}

// of is the sink of one package's download.
func (m *meter) of(size int64) progress.Sink {
	var last int64
	return progress.Func(func(u progress.Update) {
		m.mu.Lock()
		defer m.mu.Unlock()
		now := min(u.Done, size)
		if u.End {
			now = size
		}
		m.done += now - last
		last = now
		m.sink.Update(progress.Update{Stage: "download", Item: u.Item, Done: m.done, Total: m.total, Unit: "bytes"})
	})
}

func (m *meter) end() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.sink.Update(progress.Update{Stage: "download", Done: m.done, Total: m.total, Unit: "bytes", End: true})
}
