package driver

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"ninefold/internal/progress"
	"ninefold/namespaces/plan"
	"ninefold/roots/image"
	"ninefold/roots/pkg"
	"ninefold/roots/store"
)

// Farm makes a directory tree whose files are hard links to a pool. It works on
// every kernel and is the last resort: slow to make, one inode a name.
//
// Hard links share mode, owner, time and attributes, so the pool is keyed by
// those and the content, apart from the object store; and two files of
// one image that happen to be equal get a pool file each, so that only what
// the image links is linked. The pool holds setuid files: like all of the store
// it lies below a directory that only root can enter.
type Farm struct {
	// Backwards makes the names of each directory in an order in which the file
	// system lists them otherwise than sorted, as far as it can be moved to: what
	// reads directories must not depend on that.
	Backwards bool
}

// Name implements Driver.
func (Farm) Name() string { return "farm" }

// Layers implements Driver.
func (Farm) Layers(s *store.Store, id image.ID, part Part) ([]plan.Layer, error) {
	dir := farmDir(s, id, part)
	if !exists(dir) {
		return nil, fmt.Errorf("image %s (%s): %w", id.Short(), part, ErrNotComposed)
	}
	return []plan.Layer{{Kind: plan.LayerDir, Source: dir}}, nil
}

// Remove implements Driver. What the pool holds for this part alone goes with
// the next collection.
func (Farm) Remove(s *store.Store, id image.ID, part Part) error {
	dir := farmDir(s, id, part)
	if !exists(dir) {
		return nil
	}
	// Out of the way at once, then taken apart: a tree that is half gone must not be found.
	aside, remove, err := s.TempDir("farm")
	if err != nil {
		return err
	}
	defer remove()
	return os.Rename(dir, filepath.Join(aside, "root"))
}

func farmDir(s *store.Store, id image.ID, part Part) string {
	return filepath.Join(s.Dir(), "farm", fileName(id, part))
}

// Compose implements Driver. The tree is made aside, written out by one syncfs
// and then renamed.
func (f Farm) Compose(ctx context.Context, s *store.Store, id image.ID, part Part) error {
	lease, err := s.Lease(id)
	if err != nil {
		return err
	}
	defer lease.Close()
	dir := farmDir(s, id, part)
	if exists(dir) {
		return nil
	}
	tree, err := load(ctx, s, id, part)
	if err != nil {
		return err
	}
	aside, remove, err := s.TempDir("farm")
	if err != nil {
		return err
	}
	defer remove()
	root := filepath.Join(aside, "root")
	if err := os.Mkdir(root, 0o700); err != nil {
		return fmt.Errorf("compose image %s: %w", id.Short(), err)
	}
	err = s.Unsynced(ctx, func() error { return plant(ctx, s, tree, root, f.Backwards) })
	if err != nil {
		return fmt.Errorf("compose image %s: %w", id.Short(), err)
	}
	if err := s.Sync(); err != nil {
		return err
	}
	err = os.Rename(root, dir)
	if err != nil && exists(dir) {
		return nil // another process was faster
	}
	if err != nil {
		return fmt.Errorf("compose image %s: %w", id.Short(), err)
	}
	d, err := os.Open(filepath.Dir(dir))
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// planter makes one tree. All names are relative to root, which is its own
// and in which no symbolic link is ever part of a directory's name: every parent
// is an entry of the tree and a directory.
type planter struct {
	store *store.Store
	root  *os.File
	pool  *os.File       // nil: every file is a copy
	next  map[string]int // how many files of this tree a pool key has served
}

func plant(ctx context.Context, s *store.Store, t *image.Tree, root string, backwards bool) error {
	pool, err := os.Open(filepath.Join(s.Dir(), "farm-objects"))
	if err != nil {
		return err
	}
	defer pool.Close()
	return (&planter{store: s, next: map[string]int{}, pool: pool}).plant(ctx, t, root, backwards)
}

// Copy writes tree into the empty directory root, which is root's alone while
// that goes on, with files of its own, as they are in the tree: owners, modes, times,
// attributes and hard links. The directory itself gets mode 0755 in the end.
func Copy(ctx context.Context, s *store.Store, t *image.Tree, root string) error {
	return (&planter{store: s}).plant(ctx, t, root, false)
}

func (p *planter) plant(ctx context.Context, t *image.Tree, root string, backwards bool) error {
	s := p.store
	var err error
	if p.root, err = os.Open(root); err != nil {
		return err
	}
	defer p.root.Close()
	total := int64(len(t.Entries))
	order := func(i int) int { return i }
	if backwards {
		list, err := backwardsOrder(t, p.root)
		if err != nil {
			return err
		}
		order = func(i int) int { return list[i] }
	}
	for n := range t.Entries {
		if n%1024 == 0 {
			if err := ctx.Err(); err != nil {
				return err
			}
			s.Progress().Update(progress.Update{Stage: "compose", Done: int64(n), Total: total, Unit: "files"})
		}
		i := order(n)
		if err := p.entry(&t.Entries[i]); err != nil {
			return fmt.Errorf("/%s: %w", t.Entries[i].Path, err)
		}
	}
	// Directories come last and deepest first: filling one moves its time, and
	// a mode may forbid nothing to root but is set once all the same.
	for i := len(t.Entries) - 1; i >= 0; i-- {
		if e := &t.Entries[i]; e.Kind == pkg.Dir {
			if err := p.dress(e); err != nil {
				return fmt.Errorf("/%s: %w", e.Path, err)
			}
		}
	}
	s.Progress().Update(progress.Update{Stage: "compose", Done: total, Total: total, Unit: "files", End: true})
	return unix.Fchmod(int(p.root.Fd()), 0o755)
}

func (p *planter) entry(e *pkg.Entry) error {
	at := int(p.root.Fd())
	switch e.Kind {
	case pkg.Dir:
		return unix.Mkdirat(at, e.Path, 0o700)
	case pkg.File:
		if e.Link != "" {
			return unix.Linkat(at, e.Link, at, e.Path, 0)
		}
		return p.file(e)
	case pkg.Symlink:
		if err := unix.Symlinkat(e.Target, at, e.Path); err != nil {
			return err
		}
	default:
		if err := unix.Mknodat(at, e.Path, fileType(e.Kind)|0o600, int(unix.Mkdev(e.Major, e.Minor))); err != nil {
			return err
		}
	}
	return p.dress(e)
}

// dress gives what lies at e.Path its owner, mode, attributes and time, in this
// order: a change of owner clears setuid and file capabilities, and all
// of them are done on a descriptor of the very inode.
func (p *planter) dress(e *pkg.Entry) error {
	fd, err := unix.Openat(int(p.root.Fd()), e.Path, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := unix.Fchownat(fd, "", int(e.UID), int(e.GID), unix.AT_EMPTY_PATH); err != nil {
		return fmt.Errorf("set its owner: %w", err)
	}
	// The magic link leads to the inode itself, also when that is a symbolic link.
	magic := fmt.Sprintf("/proc/self/fd/%d", fd)
	if e.Kind != pkg.Symlink {
		if err := unix.Chmod(magic, e.Mode); err != nil {
			return fmt.Errorf("set its mode: %w", err)
		}
	}
	for _, x := range e.Xattrs {
		if err := unix.Setxattr(magic, x.Name, x.Value, 0); err != nil {
			return fmt.Errorf("set its attribute %s: %w", x.Name, err)
		}
	}
	t := unix.Timespec{Sec: e.MTime}
	err = unix.UtimesNanoAt(int(p.root.Fd()), e.Path, []unix.Timespec{t, t}, unix.AT_SYMLINK_NOFOLLOW)
	if err != nil {
		return fmt.Errorf("set its time: %w", err)
	}
	return nil
}
