package finish

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"ninefold/roots/pkg"
)

// mountPoints are where a sandbox mounts something; what lies there in an
// upper is only the place of the mount.
var mountPoints = []string{"dev", "proc", "sys", "run", "tmp"}

// maxHarvest bounds what a step may change.
const maxHarvest = 1 << 20

// harvest reads an overlay's upper directory, after its session has ended, and
// returns what it changes over view, with whiteouts for what it removes,
// sorted by path. Content goes into objects, but for a file whose metadata
// alone was copied up, which keeps the digest of the view's. Equal entries are
// left out, but for names of a file that has changed names, too: a group of hard
// links is there as a whole. keep chooses the paths that count.
func harvest(ctx context.Context, upper string, view *View, objects Objects, keep func(p string) bool) ([]pkg.Entry, error) {
	h := &harvester{ctx: ctx, root: upper, view: view, objects: objects, keep: keep, found: map[string]pkg.Entry{}, inodes: map[uint64]pkg.Entry{}, group: map[string]inode{}}
	if err := h.dir("", "", true); err != nil {
		return nil, err
	}
	list := make([]pkg.Entry, 0, len(h.found))
	for p, e := range h.found {
		if keep(p) {
			list = append(list, e)
		}
	}
	slices.SortFunc(list, func(a, b pkg.Entry) int { return strings.Compare(a.Path, b.Path) })
	h.link(list)
	return changes(list, view.Lookup), nil
}

// link makes the bytewise first name of each file in list its first one.
func (h *harvester) link(list []pkg.Entry) {
	first := map[inode]string{}
	for i := range list {
		e := &list[i]
		id, ok := h.group[e.Path]
		if !ok {
			continue
		}
		if to, ok := first[id]; ok {
			e.Link = to
		} else {
			first[id] = e.Path
		}
	}
}

// inode names a file that may have several names: one of the upper by its
// number, one of the view, in a directory that was renamed, by its first name.
type inode struct {
	number uint64
	name   string
}

type harvester struct {
	ctx     context.Context
	root    string
	view    *View
	objects Objects
	keep    func(string) bool
	found   map[string]pkg.Entry
	inodes  map[uint64]pkg.Entry // files with several names, by the one that was read first
	group   map[string]inode     // by path, for files that may have several names
}

// dir reads one directory of the upper. lower is the path of the view that it
// is merged with, which differs from p after a rename; merged is false when
// nothing of the view shows through.
func (h *harvester) dir(p, lower string, merged bool) error {
	names, err := os.ReadDir(filepath.Join(h.root, p))
	if err != nil {
		return err
	}
	if merged && p != lower {
		h.moved(p, lower)
	}
	for _, d := range names {
		if err := h.ctx.Err(); err != nil {
			return err
		}
		if len(h.found) > maxHarvest {
			return fmt.Errorf("more than %d files changed", maxHarvest)
		}
		child := path.Join(p, d.Name())
		if p == "" && d.IsDir() && slices.Contains(mountPoints, child) {
			continue
		}
		if err := h.entry(child, path.Join(lower, d.Name()), merged); err != nil {
			return fmt.Errorf("/%s: %w", child, err)
		}
	}
	if !merged {
		h.hide(p)
	}
	return nil
}

// moved carries the content of a renamed directory to its new name.
func (h *harvester) moved(p, lower string) {
	for e := range h.view.Below(lower) {
		of := inode{name: cmp.Or(e.Link, e.Path)}
		e.Path = path.Join(p, strings.TrimPrefix(e.Path, lower+"/"))
		e.Link = ""
		h.found[e.Path] = e
		if e.Kind == pkg.File {
			h.group[e.Path] = of
		}
	}
}

// hide puts whiteouts over what an opaque directory covers.
func (h *harvester) hide(p string) {
	if p == "" {
		return
	}
	last := ""
	for e := range h.view.Below(p) {
		if _, ok := h.found[e.Path]; ok || last != "" && strings.HasPrefix(e.Path, last+"/") {
			continue
		}
		last = e.Path
		h.found[e.Path] = pkg.Entry{Path: e.Path, Kind: pkg.Char}
	}
}

// drop removes what has been found at p and below.
func (h *harvester) drop(p string) {
	delete(h.found, p)
	delete(h.group, p)
	for q := range h.found {
		if strings.HasPrefix(q, p+"/") {
			delete(h.found, q)
		}
	}
}

const overlayXattr = "trusted.overlay."

func (h *harvester) entry(p, lower string, merged bool) error {
	at := filepath.Join(h.root, p)
	var st unix.Stat_t
	if err := unix.Lstat(at, &st); err != nil {
		return err
	}
	xattrs, own, err := readXattrs(at)
	if err != nil {
		return err
	}
	e := pkg.Entry{Path: p, Mode: st.Mode & 0o7777, UID: st.Uid, GID: st.Gid, MTime: max(st.Mtim.Sec, 0), Xattrs: xattrs}
	if r, ok := own["redirect"]; ok {
		if lower, err = redirected(lower, string(r)); err != nil {
			return err
		}
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFDIR:
		e.Kind = pkg.Dir
		h.found[p] = e
		below, ok := h.view.Lookup(lower)
		through := merged && ok && below.Kind == pkg.Dir && string(own["opaque"]) != "y"
		return h.dir(p, lower, through)
	case unix.S_IFREG:
		return h.file(e, at, &st, own, lower)
	case unix.S_IFLNK:
		e.Kind, e.Mode = pkg.Symlink, 0o777
		if e.Target, err = os.Readlink(at); err != nil {
			return err
		}
	case unix.S_IFIFO:
		e.Kind = pkg.Fifo
	case unix.S_IFCHR:
		if st.Rdev != 0 {
			return errors.New("a device cannot be part of an image's finishing")
		}
		h.drop(p)
		e = pkg.Entry{Path: p, Kind: pkg.Char}
	default:
		return errors.New("a socket or device cannot be part of an image's finishing")
	}
	h.drop(p)
	h.found[p] = e
	return nil
}

func (h *harvester) file(e pkg.Entry, at string, st *unix.Stat_t, own map[string][]byte, lower string) error {
	h.drop(e.Path)
	e.Kind = pkg.File
	if !h.keep(e.Path) {
		return nil
	}
	if st.Nlink > 1 {
		h.group[e.Path] = inode{number: st.Ino}
		if was, ok := h.inodes[st.Ino]; ok {
			e.Size, e.Digest = was.Size, was.Digest
			h.found[e.Path] = e
			return nil
		}
	}
	if _, ok := own["metacopy"]; ok {
		was, ok := h.view.Lookup(lower)
		if !ok || was.Kind != pkg.File {
			return fmt.Errorf("its content is that of /%s, which is no file of the image", lower)
		}
		e.Size, e.Digest = was.Size, was.Digest
		h.add(e, st)
		return nil
	}
	fd, err := unix.Open(at, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	f := os.NewFile(uintptr(fd), at)
	defer f.Close()
	if e.Digest, e.Size, err = h.objects.Put(h.ctx, f); err != nil {
		return err
	}
	h.add(e, st)
	return nil
}

func (h *harvester) add(e pkg.Entry, st *unix.Stat_t) {
	if st.Nlink > 1 {
		h.inodes[st.Ino] = e
	}
	h.found[e.Path] = e
}

// redirected resolves trusted.overlay.redirect: an absolute path, or a new
// name in the same directory.
func redirected(lower, to string) (string, error) {
	if strings.HasPrefix(to, "/") {
		return clean(to)
	}
	if to == "" || strings.Contains(to, "/") || to == ".." || to == "." {
		return "", fmt.Errorf("overlay redirect to %q", to)
	}
	return path.Join(parent(lower), to), nil
}

// readXattrs returns the attributes that belong to the file, sorted, and
// overlayfs's own by the rest of their name.
func readXattrs(at string) ([]pkg.Xattr, map[string][]byte, error) {
	names := make([]byte, 1<<16)
	n, err := unix.Llistxattr(at, names)
	if err != nil || n == 0 {
		if errors.Is(err, unix.ENOTSUP) {
			err = nil
		}
		return nil, nil, err
	}
	var list []pkg.Xattr
	own := map[string][]byte{}
	for _, name := range strings.Split(strings.TrimRight(string(names[:n]), "\x00"), "\x00") {
		// A label belongs to the machine's policy, not to the image.
		if name == "security.selinux" {
			continue
		}
		value := make([]byte, pkg.MaxXattrValue)
		n, err := unix.Lgetxattr(at, name, value)
		if err != nil {
			return nil, nil, fmt.Errorf("attribute %s: %w", name, err)
		}
		value = slices.Clone(value[:n])
		if rest, ok := strings.CutPrefix(name, overlayXattr); ok {
			own[rest] = value
			continue
		}
		list = append(list, pkg.Xattr{Name: name, Value: value})
	}
	slices.SortFunc(list, func(a, b pkg.Xattr) int { return strings.Compare(a.Name, b.Name) })
	return list, own, nil
}
