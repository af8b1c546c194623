// Package live binds into live views: it finds the namespace, keeps in mind
// what was bound, and takes off nothing else.
package live

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"ninefold/namespaces"
	"ninefold/namespaces/plan"
	"ninefold/sessiond/api"
	"ninefold/sessiond/identity"
)

// maxBinds bounds the live binds of one view: every one costs the kernel
// memory, and is a line in each of its processes' mount tables.
const maxBinds = 64

// Binds are the live binds of all views, kept in a directory of root's so that
// a new daemon knows them.
type Binds struct {
	service api.Service
	dir     string
	memory  func() int64
	mu      sync.Mutex
}

// New returns the Binds that are kept in dir, which is made when it is needed.
// memory is what a user may have mounted in memory, in bytes.
func New(s api.Service, dir string, memory func() int64) *Binds {
	return &Binds{service: s, dir: dir, memory: memory}
}

// record is one bind in a file.
type record struct {
	Target   string `json:"target"`
	ReadOnly bool   `json:"read_only"`
	Mount    uint64 `json:"mount"`
	// Size bounds what is in memory; 0 for what is not.
	Size int64 `json:"size,omitempty"`
}

// Bind binds source into a view. Its name is looked up on the host or in the
// view, by root or by the view's user.
func (b *Binds) Bind(ctx context.Context, view string, bind api.NewBind) error {
	if !filepath.IsAbs(bind.Source) {
		return fmt.Errorf("bind %q: the source has no absolute name", bind.Source)
	}
	return b.in(ctx, view, func(l namespaces.Live, have []record) ([]record, error) {
		if len(have) >= maxBinds {
			return have, fmt.Errorf("view %s has %d live binds, and may not have more", view, maxBinds)
		}
		if bind.OnHost {
			host, err := os.Open("/proc/1/ns/mnt")
			if err != nil {
				return have, err
			}
			defer host.Close()
			l.From = host
		}
		l.AsRoot = bind.AsRoot
		id, err := l.Bind(bind.Source, bind.Target, bind.ReadOnly)
		if err != nil {
			return have, fmt.Errorf("bind %s at %s: %w", bind.Source, bind.Target, err)
		}
		return append(have, record{Target: bind.Target, ReadOnly: bind.ReadOnly, Mount: id}), nil
	})
}

// Mount mounts a file of the host's that holds a file system, or an empty one in
// memory, into a view.
func (b *Binds) Mount(ctx context.Context, view string, m api.NewMount) error {
	if m.Source != "" && !filepath.IsAbs(m.Source) {
		return fmt.Errorf("mount %q: the source has no absolute name", m.Source)
	}
	return b.in(ctx, view, func(l namespaces.Live, have []record) ([]record, error) {
		if len(have) >= maxBinds {
			return have, fmt.Errorf("view %s has %d live binds, and may not have more", view, maxBinds)
		}
		var id uint64
		var err error
		size := int64(0)
		if m.Source == "" {
			if size = cmp.Or(m.Size, namespaces.MemoryDefault); !m.AsRoot {
				if err := b.fits(ctx, l.User.UID, size); err != nil {
					return have, err
				}
			}
			id, err = l.MountMemory(m.Target, size, m.ReadOnly)
		} else {
			host, herr := os.Open("/proc/1/ns/mnt")
			if herr != nil {
				return have, herr
			}
			defer host.Close()
			l.From = host
			id, err = l.MountImage(m.Source, m.Type, m.Target, m.ReadOnly)
		}
		if err != nil {
			return have, fmt.Errorf("mount at %s: %w", m.Target, err)
		}
		return append(have, record{m.Target, m.ReadOnly, id, size}), nil
	})
}

// fits refuses what would make a user's file systems in memory too large. b.mu is
// held.
func (b *Binds) fits(ctx context.Context, uid uint32, size int64) error {
	all, err := b.service.Views(ctx)
	if err != nil {
		return err
	}
	most, have := b.memory(), int64(0)
	for _, v := range all {
		if v.UID != uid {
			continue
		}
		records, err := b.read(v.ID)
		if err != nil {
			return err
		}
		for _, r := range records {
			have += r.Size
		}
	}
	if size > most-have {
		return fmt.Errorf("%w: uid %d has %d MiB mounted in memory, and may have %d (mount.memory in ninefold.toml)", api.ErrPolicy, uid, have>>20, most>>20)
	}
	return nil
}

// Unmount takes off what was bound last at target.
func (b *Binds) Unmount(ctx context.Context, view, target string) error {
	return b.in(ctx, view, func(l namespaces.Live, have []record) ([]record, error) {
		for i, r := range slices.Backward(have) {
			if r.Target == target {
				if err := l.Unbind(target, r.Mount); err != nil {
					return have, err
				}
				return slices.Delete(slices.Clone(have), i, i+1), nil
			}
		}
		return have, fmt.Errorf("unmount %s: %w", target, namespaces.ErrNotOurs)
	})
}

// List returns the live binds of a view, the oldest first.
func (b *Binds) List(ctx context.Context, view string) ([]api.Bind, error) {
	if _, err := b.service.View(ctx, view); err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	have, err := b.read(view)
	out := []api.Bind{}
	for _, r := range have {
		out = append(out, api.Bind{Target: r.Target, ReadOnly: r.ReadOnly})
	}
	return out, err
}

// in runs f for a live view, and writes down what f makes of its binds.
func (b *Binds) in(ctx context.Context, view string, f func(namespaces.Live, []record) ([]record, error)) error {
	v, err := b.service.View(ctx, view)
	if err != nil {
		return err
	}
	if v.Class != string(plan.Trusted) {
		return fmt.Errorf("view %s: %w: others than root had a hand in it, and nothing is bound into such views", view, api.ErrPolicy)
	}
	u, err := identity.Host{}.ByUID(ctx, v.UID)
	if err != nil {
		return err
	}
	ns, err := b.service.Namespace(ctx, view)
	if err != nil {
		return err
	}
	defer ns.Close()
	l := namespaces.Live{View: ns, Home: u.Home, User: plan.Identity{UID: u.UID, GID: u.GID, Groups: u.Groups}}
	b.mu.Lock()
	defer b.mu.Unlock()
	have, err := b.read(view)
	if err != nil {
		return err
	}
	now, err := f(l, have)
	if err != nil {
		return err
	}
	return b.write(ctx, view, now)
}

func (b *Binds) read(view string) (have []record, err error) {
	text, err := os.ReadFile(filepath.Join(b.dir, view))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err == nil {
		err = json.Unmarshal(text, &have)
	}
	if err != nil {
		return nil, fmt.Errorf("the live binds of view %s: %w", view, err)
	}
	return have, nil
}

// write replaces the file of a view, and removes those of views that are over.
func (b *Binds) write(ctx context.Context, view string, have []record) error {
	text, err := json.Marshal(have)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(b.dir, 0o700); err != nil {
		return err
	}
	b.prune(ctx)
	name := filepath.Join(b.dir, view)
	if err := os.WriteFile(name+".new", text, 0o600); err != nil {
		return err
	}
	return os.Rename(name+".new", name)
}

func (b *Binds) prune(ctx context.Context) {
	names, err := os.ReadDir(b.dir)
	if err != nil {
		return
	}
	for _, n := range names {
		if _, err := b.service.View(ctx, n.Name()); errors.Is(err, api.ErrNotFound) {
			_ = os.Remove(filepath.Join(b.dir, n.Name())) // tried again at the next change
		}
	}
}
