package finish

import (
	"context"
	"fmt"
	"io"
	"iter"
	"os"
	"path"
	"slices"
	"sort"
	"strings"

	"ninefold/roots/pkg"
)

// Objects is where file content lies; the store satisfies it.
type Objects interface {
	Put(ctx context.Context, r io.Reader) (pkg.Digest, int64, error)
	Object(d pkg.Digest) (*os.File, error)
}

// maxLinks is how many symbolic links Stat follows, as path_resolution(7).
const maxLinks = 40

// maxRead bounds a file that a step reads whole.
const maxRead = 64 << 20

// View is the tree as a step sees it: what the packages hold, with the results
// of the steps before it on top. It is not safe for use by several goroutines
// while Apply runs.
type View struct {
	objects Objects
	base    []pkg.Entry
	over    []pkg.Entry // sorted; a whiteout (IsWhiteout) hides a path and all below it
	// hidden are the paths of over that hide something below them in base.
	hidden map[string]bool
}

// NewView makes a view of entries, which are sorted bytewise by Path and stay
// the caller's, unchanged.
func NewView(objects Objects, entries []pkg.Entry) *View {
	return &View{objects: objects, base: entries}
}

// IsWhiteout reports whether e stands for "nothing here", as in an overlay.
func IsWhiteout(e *pkg.Entry) bool {
	return e.Kind == pkg.Char && e.Major == 0 && e.Minor == 0
}

func find(list []pkg.Entry, p string) (*pkg.Entry, int) {
	i := sort.Search(len(list), func(i int) bool { return list[i].Path >= p })
	if i < len(list) && list[i].Path == p {
		return &list[i], i
	}
	return nil, i
}

// gone reports whether a whiteout hides a path of the base.
func (v *View) gone(p string) bool {
	if len(v.hidden) == 0 {
		return false
	}
	for ; p != ""; p = parent(p) {
		if v.hidden[p] {
			return true
		}
	}
	return false
}

// Lookup returns the entry at exactly p, without following links. A directory
// that only its content implies is returned as root:root 0755.
func (v *View) Lookup(p string) (pkg.Entry, bool) {
	if e, _ := find(v.over, p); e != nil {
		if IsWhiteout(e) {
			return pkg.Entry{}, false
		}
		return *e, true
	}
	if e, _ := find(v.base, p); e != nil && !v.gone(p) {
		return *e, true
	}
	for range v.Below(p) {
		return pkg.Entry{Path: p, Kind: pkg.Dir, Mode: 0o755}, true
	}
	return pkg.Entry{}, false
}

// Has reports whether there is something at p after following links.
func (v *View) Has(p string) bool {
	_, ok := v.Stat(p)
	return ok
}

// Stat resolves p, which may be absolute, following symbolic links as a process
// with this tree as its root would, and returns the entry found. Its Path is
// the resolved one.
func (v *View) Stat(p string) (pkg.Entry, bool) {
	// No entry lies below a link, so an exact hit needs no walk.
	if q := strings.TrimPrefix(path.Clean(p), "/"); q != "." && q != "" {
		if e, ok := v.Lookup(q); ok && e.Kind != pkg.Symlink {
			return e, true
		}
	}
	links := 0
	rest := strings.Split(p, "/")
	at := ""
	e := pkg.Entry{Kind: pkg.Dir, Mode: 0o755}
	for len(rest) > 0 {
		name := rest[0]
		rest = rest[1:]
		switch name {
		case "", ".":
			continue
		case "..":
			if at = path.Dir(at); at == "." {
				at = ""
			}
			continue
		}
		var ok bool
		if e, ok = v.Lookup(path.Join(at, name)); !ok {
			return pkg.Entry{}, false
		}
		if e.Kind != pkg.Symlink {
			if e.Kind != pkg.Dir && len(rest) > 0 {
				return pkg.Entry{}, false
			}
			at = e.Path
			continue
		}
		if links++; links > maxLinks {
			return pkg.Entry{}, false
		}
		if strings.HasPrefix(e.Target, "/") {
			at = ""
		}
		rest = append(strings.Split(e.Target, "/"), rest...)
	}
	if at == "" {
		return pkg.Entry{Kind: pkg.Dir, Mode: 0o755}, true
	}
	return v.Lookup(at)
}

// Below yields every entry below the directory dir ("" for all), sorted by
// Path, dir itself not included. Links are not followed.
func (v *View) Below(dir string) iter.Seq[pkg.Entry] {
	prefix := dir + "/"
	if dir == "" {
		prefix = ""
	}
	return func(yield func(pkg.Entry) bool) {
		_, i := find(v.base, prefix)
		_, j := find(v.over, prefix)
		in := func(l []pkg.Entry, k int) bool { return k < len(l) && strings.HasPrefix(l[k].Path, prefix) }
		for in(v.base, i) || in(v.over, j) {
			if !in(v.over, j) || in(v.base, i) && v.base[i].Path < v.over[j].Path {
				if !v.gone(v.base[i].Path) && !yield(v.base[i]) {
					return
				}
				i++
				continue
			}
			if in(v.base, i) && v.base[i].Path == v.over[j].Path {
				i++
			}
			if !IsWhiteout(&v.over[j]) && !yield(v.over[j]) {
				return
			}
			j++
		}
	}
}

// Names lists what is directly in the directory at dir, sorted, after
// following links to it.
func (v *View) Names(dir string) []string {
	d, ok := v.Stat(dir)
	if !ok || d.Kind != pkg.Dir {
		return nil
	}
	var names []string
	for e := range v.Below(d.Path) {
		name, _, _ := strings.Cut(strings.TrimPrefix(e.Path, d.Path+"/"), "/")
		if n := len(names); n == 0 || names[n-1] != name {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// Open opens the content of the file at p, after following links.
func (v *View) Open(p string) (*os.File, error) {
	e, ok := v.Stat(p)
	if !ok {
		return nil, fmt.Errorf("/%s is not in the image: %w", p, os.ErrNotExist)
	}
	if e.Kind != pkg.File {
		return nil, fmt.Errorf("/%s is not a regular file", p)
	}
	f, err := v.objects.Object(e.Digest)
	if err != nil {
		return nil, fmt.Errorf("/%s: %w", p, err)
	}
	return f, nil
}

// Read returns the content of the file at p, after following links.
func (v *View) Read(p string) ([]byte, error) {
	f, err := v.Open(p)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxRead+1))
	if err != nil {
		return nil, fmt.Errorf("/%s: %w", p, err)
	}
	if len(b) > maxRead {
		return nil, fmt.Errorf("/%s is larger than %d bytes, which no finishing step reads", p, maxRead)
	}
	return b, nil
}

// Apply puts a step's result on top of the view. The entries are sorted by
// Path.
func (v *View) Apply(entries []pkg.Entry) {
	v.over = overlay(v.over, entries)
	relink(v.over, entries)
	v.hidden = map[string]bool{}
	for i := range v.over {
		e := &v.over[i]
		if IsWhiteout(e) || e.Kind != pkg.Dir && v.implied(e.Path) {
			v.hidden[e.Path] = true
		}
	}
}

// Result returns what the steps so far changed, and the paths of the tree that
// they removed, both sorted. Entries that equal the tree's are left out.
func (v *View) Result() (entries []pkg.Entry, removed []string) {
	base := func(p string) (pkg.Entry, bool) {
		if e, _ := find(v.base, p); e != nil && !v.gone(parent(p)) {
			return *e, true
		}
		return pkg.Entry{}, false
	}
	for i := range v.over {
		e := v.over[i]
		if !IsWhiteout(&e) {
			entries = append(entries, e)
		} else if was, _ := find(v.base, e.Path); was != nil || v.implied(e.Path) {
			removed = append(removed, e.Path)
		}
	}
	return changes(entries, base), removed
}

func (v *View) implied(p string) bool {
	_, i := find(v.base, p+"/")
	return i < len(v.base) && strings.HasPrefix(v.base[i].Path, p+"/")
}

func parent(p string) string {
	if i := strings.LastIndexByte(p, '/'); i >= 0 {
		return p[:i]
	}
	return ""
}

// overlay merges two sorted lists; top wins, and what a whiteout or another
// non-directory of top covers is dropped.
func overlay(below, top []pkg.Entry) []pkg.Entry {
	cover := make(map[string]bool)
	for i := range top {
		if top[i].Kind != pkg.Dir {
			cover[top[i].Path] = true
		}
	}
	covered := func(p string) bool {
		for p = parent(p); p != ""; p = parent(p) {
			if cover[p] {
				return true
			}
		}
		return false
	}
	out := make([]pkg.Entry, 0, len(below)+len(top))
	i, j := 0, 0
	for i < len(below) || j < len(top) {
		if j == len(top) || i < len(below) && below[i].Path < top[j].Path {
			if !covered(below[i].Path) {
				out = append(out, below[i])
			}
			i++
			continue
		}
		if i < len(below) && below[i].Path == top[j].Path {
			i++
		}
		out = append(out, top[j])
		j++
	}
	return out
}

// same reports whether b would change nothing where a is. A directory's time
// is not a change: putting a file in it moves it.
func same(a, b *pkg.Entry) bool {
	if a.Kind != b.Kind || a.Mode != b.Mode || a.UID != b.UID || a.GID != b.GID ||
		a.Size != b.Size || a.Digest != b.Digest || a.Target != b.Target ||
		a.Major != b.Major || a.Minor != b.Minor || len(a.Xattrs) != len(b.Xattrs) {
		return false
	}
	for i := range a.Xattrs {
		if a.Xattrs[i].Name != b.Xattrs[i].Name || string(a.Xattrs[i].Value) != string(b.Xattrs[i].Value) {
			return false
		}
	}
	return a.Kind == pkg.Dir || a.MTime == b.MTime
}
