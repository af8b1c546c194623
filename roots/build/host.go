package build

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"ninefold/roots/compat"
	"ninefold/roots/finish"
	"ninefold/roots/image"
	"ninefold/roots/pkg"
	"ninefold/roots/store"
)

// hostTrees are the parts of the machine that finishing steps read.
var hostTrees = []string{"etc", "usr", "var/lib/dpkg"}

// hostSkip are left out: large, and read by no step.
var hostSkip = []string{"usr/share/doc", "usr/share/man", "usr/src", "usr/share/locale", "usr/include", "var/lib/dpkg/info"}

// maxHostFiles bounds what is looked at of the machine.
const maxHostFiles = 2_000_000

// hostFingerprint names the packages of the machine for an image that stands
// on it, and is empty for others.
func (j *job) hostFingerprint() (string, error) {
	if !j.chain.OnHost() {
		return "", nil
	}
	return compat.Fingerprint(j.Root)
}

// view is what the finishing steps see: the image's tree, and for an image
// that stands on the machine the machine's files below it.
func (j *job) view(ctx context.Context, tree *image.Tree) (*finish.View, finish.Objects, error) {
	if !j.chain.OnHost() {
		return finish.NewView(j.Store, tree.Entries), j.Store, nil
	}
	h := &hostObjects{Store: j.Store, paths: map[pkg.Digest]string{}}
	list, err := h.scan(ctx, j.Root)
	if err != nil {
		return nil, nil, fmt.Errorf("read the machine's files: %w", err)
	}
	return finish.NewView(h, merge(list, tree.Entries)), h, nil
}

// merge joins two sorted trees; what top has hides what is below.
func merge(below, top []pkg.Entry) []pkg.Entry {
	v := finish.NewView(nil, below)
	v.Apply(top)
	return slices.Collect(v.Below(""))
}

// hostObjects opens files of the machine by a digest that stands for the file
// as it is now, without reading it, and everything else from the store.
type hostObjects struct {
	*store.Store
	paths map[pkg.Digest]string
}

func (h *hostObjects) Object(d pkg.Digest) (*os.File, error) {
	if p, ok := h.paths[d]; ok {
		return os.Open(p)
	}
	return h.Store.Object(d)
}

func (h *hostObjects) Put(ctx context.Context, r io.Reader) (pkg.Digest, int64, error) {
	return h.Store.Put(ctx, r)
}

func (h *hostObjects) scan(ctx context.Context, root string) ([]pkg.Entry, error) {
	var list []pkg.Entry
	for _, link := range []string{"bin", "lib", "lib32", "lib64", "sbin"} {
		if target, err := os.Readlink(filepath.Join(root, link)); err == nil {
			list = append(list, pkg.Entry{Path: link, Kind: pkg.Symlink, Mode: 0o777, Target: target})
		}
	}
	for _, tree := range hostTrees {
		err := filepath.WalkDir(filepath.Join(root, tree), func(p string, d fs.DirEntry, err error) error {
			if err != nil {
				if os.IsNotExist(err) {
					return nil
				}
				return err
			}
			if err := ctx.Err(); err != nil {
				return err
			}
			rel, err := filepath.Rel(root, p)
			if err != nil {
				return err
			}
			if d.IsDir() && slices.Contains(hostSkip, rel) {
				return fs.SkipDir
			}
			if len(list) > maxHostFiles {
				return fmt.Errorf("more than %d files", maxHostFiles)
			}
			e, ok, err := h.entry(p, rel, d)
			if ok {
				list = append(list, e)
			}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	slices.SortFunc(list, func(a, b pkg.Entry) int { return strings.Compare(a.Path, b.Path) })
	return slices.CompactFunc(list, func(a, b pkg.Entry) bool { return a.Path == b.Path }), nil
}

func (h *hostObjects) entry(p, rel string, d fs.DirEntry) (pkg.Entry, bool, error) {
	info, err := d.Info()
	if err != nil {
		if os.IsNotExist(err) {
			err = nil
		}
		return pkg.Entry{}, false, err
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return pkg.Entry{}, false, nil
	}
	e := pkg.Entry{Path: rel, Mode: st.Mode & 0o7777, UID: st.Uid, GID: st.Gid, MTime: max(st.Mtim.Sec, 0)}
	switch {
	case info.IsDir():
		e.Kind = pkg.Dir
	case info.Mode()&fs.ModeSymlink != 0:
		e.Kind, e.Mode = pkg.Symlink, 0o777
		if e.Target, err = os.Readlink(p); err != nil {
			return pkg.Entry{}, false, nil // gone meanwhile
		}
	case info.Mode().IsRegular():
		e.Kind, e.Size = pkg.File, st.Size
		e.Digest = sha256.Sum256(fmt.Appendf(nil, "host %s %d %d %d %d", p, st.Dev, st.Ino, st.Mtim.Nano(), st.Ctim.Nano()))
		h.paths[e.Digest] = p
	default:
		return pkg.Entry{}, false, nil
	}
	return e, true, nil
}
