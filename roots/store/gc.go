package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

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

// GC removes what no tag and no lease needs: images, then packages, then
// objects, so that a reference always holds wherever it is interrupted. It waits for running
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
		for _, id := range packagesOf(m) {
			packages[id] = true
		}
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
	if err := s.collectConverted(); err != nil {
		return err
	}
	// The records are gone for good before what they refer to goes.
	if err := errors.Join(syncDir(s.path("images")), syncDir(s.path("packages"))); err != nil {
		return err
	}
	r.Objects, r.Bytes, err = s.sweepObjects(ctx, objects)
	return err
}

// collectImages removes the records of dead images, descendants first, and
// returns the live ones.
func (s *Store) collectImages(r *Report) (map[image.ID]*image.Manifest, error) {
	ids, err := s.Images()
	if err != nil {
		return nil, err
	}
	all := make(map[image.ID]*image.Manifest, len(ids))
	for _, id := range ids {
		if all[id], err = s.Image(id); err != nil {
			return nil, err
		}
	}
	live := map[image.ID]*image.Manifest{}
	keep := func(id image.ID) {
		for m := all[id]; m != nil && live[id] == nil; id, m = m.Parent, all[m.Parent] {
			live[id] = m
		}
	}
	// Claim every image first: while it is claimed nobody can lease or tag it.
	claims := map[image.ID]*os.File{}
	defer func() {
		for _, f := range claims {
			f.Close()
		}
	}()
	var leased []image.ID
	for id := range all {
		f, err := s.claim(id)
		if err != nil {
			return nil, err
		}
		if f == nil {
			keep(id)
			leased = append(leased, id)
			continue
		}
		claims[id] = f
	}
	tags, err := s.Tags()
	if err != nil {
		return nil, err
	}
	tagged := map[image.ID]bool{}
	for _, id := range tags {
		keep(id)
		tagged[id] = true
	}
	for _, id := range leased {
		if !tagged[id] {
			r.Kept = append(r.Kept, id)
		}
	}
	// The living can be leased again.
	for id := range live {
		if f := claims[id]; f != nil {
			f.Close()
			delete(claims, id)
		}
	}
	for len(claims) > 0 {
		for id := range claims {
			if hasChild(all, id) {
				continue
			}
			if err := s.removeImage(id); err != nil {
				return nil, err
			}
			r.Images = append(r.Images, id)
			claims[id].Close()
			delete(claims, id)
			delete(all, id)
		}
	}
	return live, nil
}

func hasChild(all map[image.ID]*image.Manifest, id image.ID) bool {
	for _, m := range all {
		if m.Parent == id {
			return true
		}
	}
	return false
}

func (s *Store) removeImage(id image.ID) error {
	if err := os.Remove(s.path("images", id.String())); err != nil {
		return err
	}
	return os.Remove(s.leasePath(id))
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

// RemoveImage forgets image id now, without a collection: its tags, its record and
// what was composed of it. It fails if the image is leased or another image is built
// on it. Packages and objects stay until GC.
func (s *Store) RemoveImage(id image.ID) error {
	ids, err := s.Images()
	if err != nil {
		return err
	}
	for _, other := range ids {
		if m, err := s.Image(other); err == nil && m.Parent == id {
			return fmt.Errorf("image %s: image %s (%s) is built on it: %w", id.Short(), m.Name, other.Short(), ErrBusy)
		}
	}
	if !s.HasImage(id) {
		return fmt.Errorf("image %s: %w", id.Short(), ErrNotFound)
	}
	f, err := s.claim(id)
	if err != nil {
		return s.explain(err)
	}
	if f == nil {
		return fmt.Errorf("image %s: a session uses it: %w", id.Short(), ErrBusy)
	}
	defer f.Close()
	tags, err := s.Tags()
	if err != nil {
		return err
	}
	for name, to := range tags {
		if to == id {
			if err := s.Untag(name); err != nil && !errors.Is(err, ErrNotFound) {
				return err
			}
		}
	}
	if err := s.removeImage(id); err != nil {
		return s.explain(err)
	}
	for _, dir := range []string{"composefs", "farm"} {
		all, err := names(s.path(dir))
		if err != nil {
			return s.explain(err)
		}
		for _, name := range all {
			if strings.HasPrefix(name, id.String()) {
				if err := removeTree(s.path(dir, name)); err != nil {
					return s.explain(err)
				}
			}
		}
	}
	return nil
}
