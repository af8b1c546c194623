package driver

import (
	"path"

	"ninefold/roots/erofs"
	"ninefold/roots/image"
	"ninefold/roots/pkg"
	"ninefold/roots/store"
)

// The attributes by which an overlay finds a file's content in another layer
// (Documentation/filesystems/overlayfs.rst, "Metadata only copy up").
const (
	metacopy = "trusted.overlay.metacopy"
	redirect = "trusted.overlay.redirect"
)

// nodes turns a tree into what the metadata image holds: every file that is not
// empty gets a redirect to its object instead of content.
func nodes(t *image.Tree) []erofs.Node { return toNodes(t, true) }

// Nodes turns a tree into what an image with the content of its files holds.
// Node i is entry i-1 of the tree; the first one is the root.
func Nodes(t *image.Tree) []erofs.Node { return toNodes(t, false) }

func toNodes(t *image.Tree, redirects bool) []erofs.Node {
	parents := t.Parents()
	out := make([]erofs.Node, 1, len(t.Entries)+1)
	out[0] = erofs.Node{Link: erofs.None, Mode: erofs.Dir | 0o755}
	// Two attributes a file, in one allocation.
	files := 0
	for i := range t.Entries {
		if redirects && t.Entries[i].Kind == pkg.File && t.Entries[i].Size > 0 {
			files++
		}
	}
	xattrs := make([]erofs.Xattr, 0, 2*files)
	for i := range t.Entries {
		e := &t.Entries[i]
		n := erofs.Node{
			Name: path.Base(e.Path), Parent: parents[i] + 1, Link: erofs.None,
			Mode: fileType(e.Kind) | e.Mode, UID: e.UID, GID: e.GID, MTime: e.MTime,
			Size: e.Size, Target: e.Target, Major: e.Major, Minor: e.Minor,
		}
		if e.Link != "" {
			// The first member stands before: groups are ordered by path.
			first, _ := t.Index(e.Link)
			n.Link = int32(first) + 1
			out = append(out, n)
			continue
		}
		if redirects && e.Kind == pkg.File && e.Size > 0 {
			xattrs = append(xattrs, erofs.Xattr{Name: metacopy}, erofs.Xattr{Name: redirect, Value: "/" + store.ObjectPath(e.Digest)})
			n.Xattrs = xattrs[len(xattrs)-2 : len(xattrs) : len(xattrs)]
		}
		for _, x := range e.Xattrs {
			n.Xattrs = append(n.Xattrs, erofs.Xattr{Name: x.Name, Value: string(x.Value)})
		}
		out = append(out, n)
	}
	return out
}

func fileType(k pkg.Kind) uint32 {
	switch k {
	case pkg.Dir:
		return erofs.Dir
	case pkg.File:
		return erofs.Regular
	case pkg.Symlink:
		return erofs.Symlink
	case pkg.Char:
		return erofs.Char
	case pkg.Block:
		return erofs.Block
	}
	return erofs.Fifo
}
