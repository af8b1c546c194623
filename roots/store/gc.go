package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"ninefold/internal/progress"
	"ninefold/roots/image"
	"ninefold/roots/pkg"
)

// Report is what a collection removed.
type Report struct {
	Images   []image.ID `json:"images"`
	Packages int        `json:"packages"`
	Objects  int        `json:"objects"`
	Bytes    int64      `json:"bytes"` // of objects
	Temp     int        `json:"temp"`  // things that dead processes left
	// Kept lists images without a tag that a lease keeps.
	Kept []image.ID `json:"kept,omitempty"`
}

// GC removes what no tag and no lease needs: images, then packages (but for
// those that a rebuild of a kept image needs: SetFinished), then objects, so that a reference always holds wherever it is interrupted. It waits for running
// builds until ctx is done; then the error wraps ErrBusy and names them.
func (s *Store) GC(ctx context.Context) (Report, error) {
	unlock, err := s.lockStore(ctx, unix.LOCK_EX)
	if err != nil {
		return Report{}, s.explain(fmt.Errorf("collection of unused images: %w%s", err, s.builders("")))
	}
	defer unlock()
	var r Report
	return r, s.explain(s.collect(ctx, &r))
}

func (s *Store) collect(ctx context.Context, r *Report) (err error) {
	if err := s.dropUncovered(ctx); err != nil {
		return err
	}
	if r.Temp, err = s.sweep(ctx); err != nil {
		return err
	}
	live, err := s.collectImages(r)
	if err != nil {
		return err
	}
	if err := s.collectComposed(); err != nil {
		return err
	}
	packages := map[pkg.Digest]bool{}
	for _, m := range live {
		for _, id := range m.Digests() {
			packages[id] = true
		}
	}
	if err := s.keepFinished(live, packages); err != nil {
		return err
	}
	ids := make([]pkg.Digest, 0, len(packages))
	for id := range packages {
		ids = append(ids, id)
	}
	// Read all that is kept before anything is removed: a record that cannot be
	// read must not make its objects look unused.
	objects, err := s.objectsOf(ctx, ids)
	if err != nil {
		return err
	}
	for _, dir := range []string{"packages", "pending/" + s.boot} {
		have, err := digests(s.path(dir))
		if err != nil {
			return err
		}
		for _, id := range have {
			if packages[id] {
				continue
			}
			if err := os.Remove(s.path(dir, id.String())); err != nil {
				return err
			}
			r.Packages++
		}
	}
	if err := errors.Join(s.collectConverted(), s.collectFinished(), s.collectSignatures(packages), s.collectOrigins(), s.collectNotes(), s.removePartials(time.Now().Add(-partialAge))); err != nil {
		return err
	}
	// The records are gone for good before what they refer to goes.
	if err := errors.Join(syncDir(s.path("images")), syncDir(s.path("packages"))); err != nil {
		return err
	}
	r.Objects, r.Bytes, err = s.sweepObjects(ctx, objects)
	return err
}

// collectComposed removes what drivers composed for images that are gone.
func (s *Store) collectComposed() error {
	for _, dir := range []string{"composefs", "farm"} {
		all, err := names(s.path(dir))
		if err != nil {
			return err
		}
		for _, name := range all {
			id, err := pkg.ParseDigest(name[:min(len(name), 64)])
			if err == nil && s.HasImage(id) {
				continue
			}
			if err := removeTree(s.path(dir, name)); err != nil {
				return err
			}
		}
	}
	return s.sweepFarmObjects()
}

// sweepFarmObjects removes the farm objects that no farm links to.
func (s *Store) sweepFarmObjects() error {
	shards, err := names(s.path("farm-objects"))
	if err != nil {
		return err
	}
	for _, shard := range shards {
		all, err := names(s.path("farm-objects", shard))
		if err != nil {
			return err
		}
		for _, name := range all {
			path := s.path("farm-objects", shard, name)
			var st unix.Stat_t
			if unix.Lstat(path, &st) == nil && st.Nlink == 1 {
				if err := os.Remove(path); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func (s *Store) collectConverted() error {
	all, err := names(s.path("converted"))
	if err != nil {
		return err
	}
	for _, name := range all {
		path := s.path("converted", name)
		b, err := readFile(path)
		if err == nil {
			if _, id, err := parseConverted(b); err == nil && s.HasPackage(id) {
				continue
			}
		}
		if err := os.Remove(path); err != nil {
			return err
		}
	}
	return nil
}

// objectsOf returns the objects that the packages refer to.
func (s *Store) objectsOf(ctx context.Context, packages []pkg.Digest) (map[pkg.Digest]bool, error) {
	list, err := s.Packages(ctx, packages)
	if err != nil {
		return nil, err
	}
	n := 0
	for _, p := range list {
		n += len(p.Entries)
	}
	objects := make(map[pkg.Digest]bool, n)
	for _, p := range list {
		for i := range p.Entries {
			if p.Entries[i].Kind == pkg.File {
				objects[p.Entries[i].Digest] = true
			}
		}
	}
	return objects, nil
}

// sweepObjects deletes every object but the live ones.
func (s *Store) sweepObjects(ctx context.Context, live map[pkg.Digest]bool) (n int, bytes int64, err error) {
	for i := range 256 {
		if err := ctx.Err(); err != nil {
			return n, bytes, err
		}
		s.sink.Update(progress.Update{Stage: "collect", Done: int64(i), Total: 256, Unit: "steps"})
		shard := fmt.Sprintf("%02x", i)
		all, err := names(s.path("objects", shard))
		if err != nil {
			return n, bytes, err
		}
		for _, name := range all {
			d, err := pkg.ParseDigest(shard + name)
			if err != nil || live[d] {
				continue // a foreign name is not ours to delete
			}
			path := s.path("objects", shard, name)
			var st unix.Stat_t
			if unix.Lstat(path, &st) == nil {
				bytes += st.Size
			}
			if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
				return n, bytes, err
			}
			n++
		}
	}
	s.sink.Update(progress.Update{Stage: "collect", Done: 256, Total: 256, Unit: "steps", End: true})
	return n, bytes, nil
}
