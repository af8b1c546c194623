package finish

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	"ninefold/roots/pkg"
)

// output collects what a step makes. Files go to the object store at once.
type output struct {
	ctx     context.Context
	objects Objects
	mtime   int64 // of everything the step makes: the newest of what it read
	entries map[string]pkg.Entry
}

func newOutput(ctx context.Context, objects Objects, mtime int64) *output {
	return &output{ctx: ctx, objects: objects, mtime: mtime, entries: make(map[string]pkg.Entry)}
}

// clean turns a name as scripts write it into an entry's Path.
func clean(name string) (string, error) {
	p := strings.TrimPrefix(path.Clean("/"+name), "/")
	if p == "" || strings.IndexByte(p, 0) >= 0 {
		return "", fmt.Errorf("path %q names no file", name)
	}
	return p, nil
}

func (o *output) set(e pkg.Entry) { o.entries[e.Path] = e }

// file writes a root-owned file.
func (o *output) file(p string, mode uint32, content []byte) error {
	return o.fileOwned(p, mode, 0, 0, content)
}

func (o *output) fileOwned(p string, mode, uid, gid uint32, content []byte) error {
	return o.stream(pkg.Entry{Path: p, Kind: pkg.File, Mode: mode, UID: uid, GID: gid}, bytes.NewReader(content))
}

// stream stores what r yields as the content of e.
func (o *output) stream(e pkg.Entry, r io.Reader) error {
	d, n, err := o.objects.Put(o.ctx, r)
	if err != nil {
		return fmt.Errorf("/%s: %w", e.Path, err)
	}
	e.Digest, e.Size, e.MTime = d, n, o.mtime
	o.set(e)
	return nil
}

func (o *output) link(p, target string) {
	o.set(pkg.Entry{Path: p, Kind: pkg.Symlink, Mode: 0o777, Target: target, MTime: o.mtime})
}

func (o *output) dir(p string, mode, uid, gid uint32) {
	o.set(pkg.Entry{Path: p, Kind: pkg.Dir, Mode: mode, UID: uid, GID: gid, MTime: o.mtime})
}

// sorted returns what was made, by Path.
func (o *output) sorted() []pkg.Entry {
	list := make([]pkg.Entry, 0, len(o.entries))
	for _, e := range o.entries {
		list = append(list, e)
	}
	slices.SortFunc(list, func(a, b pkg.Entry) int { return strings.Compare(a.Path, b.Path) })
	return list
}
