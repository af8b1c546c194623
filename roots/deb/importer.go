package deb

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"

	"ninefold/roots/pkg"
)

// smallFile is up to which size content is read before it goes to the store:
// most files are smaller, and a store does less with bytes than with a stream.
const smallFile = 128 << 10

// importer gathers the entries and the content of one package.
type importer struct {
	ctx  context.Context
	into Objects
	o    Options
	ex   *excluder
	t    *tree
	// keepExcluded stores the content of files that are left out too, for hard
	// links to them.
	keepExcluded bool
	// byName turns owners that have no fixed id into overrides, as dpkg takes
	// owners by name; whole trees keep their numbers.
	byName bool
	// layered refuses the whiteouts of container layers; below takes them.
	layered bool
	below   *hidden
	// devices counts those below dev/ that are left out; nil leaves none out.
	devices *int

	sysusers  []textFile
	overrides []pkg.Override
	buf       []byte
}

type textFile struct {
	path string
	text []byte
}

func newImporter(ctx context.Context, into Objects, o Options) (*importer, error) {
	ex, err := newExcluder(o.Exclude)
	if err != nil {
		return nil, err
	}
	return &importer{ctx: ctx, into: into, o: o, ex: ex, t: newTree(), byName: true}, nil
}

// item is one file as a source gives it: path and target as written.
type item struct {
	pkg.Entry
	link         string // hard link to this path
	user, group  string // names of the owner, when known
	content      io.Reader
	target       string
	special      string // what it is when it is nothing a package holds
	mtimeSeconds int64
}

// add takes one item. Content is read to its end when it is wanted.
func (im *importer) add(it *item) error {
	if err := im.ctx.Err(); err != nil {
		return context.Cause(im.ctx)
	}
	written := it.Path
	path, err := cleanName(written)
	if err != nil {
		return err
	}
	if it.special != "" {
		return malformed("%s: %s", short(written), it.special)
	}
	hides := strings.HasPrefix(path[strings.LastIndexByte(path, '/')+1:], whiteout)
	if im.below != nil && (hides || strings.HasPrefix(path, whiteout) || strings.Contains(path, "/"+whiteout)) {
		return im.hide(path)
	}
	if hides && im.layered {
		return malformed("%s: this is a whiteout of a container layer; flatten the image first", short(written))
	}
	if it.link != "" {
		return im.link(path, it)
	}
	final, err := im.place(path, it)
	if err != nil || final == "" {
		return err
	}
	n := &node{Entry: it.Entry, moved: final != path}
	n.Path = final
	n.MTime = im.mtime(it.mtimeSeconds)
	if n.Kind != pkg.Dir {
		n.excluded = im.ex.out(final)
	}
	switch n.Kind {
	case pkg.Symlink:
		n.Mode = 0o777
		if it.target == "" || len(it.target) > pkg.MaxPath || strings.IndexByte(it.target, 0) >= 0 {
			return malformed("%s: link target of %d bytes", short(written), len(it.target))
		}
		n.Target = it.target
		if !im.o.AsIs {
			n.Target = rebase(path, final, it.target)
		}
	case pkg.Char, pkg.Block:
		if !im.o.Devices {
			return malformed("%s: device nodes do not belong in a package", short(written))
		}
	case pkg.File:
		if n.excluded && !im.keepExcluded {
			break
		}
		if err := im.store(n, it.content); err != nil {
			return err
		}
	}
	im.owner(n, it)
	return im.t.add(n)
}

func (im *importer) link(path string, it *item) error {
	target, err := cleanName(it.link)
	if err != nil {
		return fmt.Errorf("%s: hard link: %w", short(it.Path), err)
	}
	if path == "" || target == "" {
		return malformed("%s: hard link to the root", short(it.Path))
	}
	if im.o.AsIs {
		return im.t.link(path, target, false, im.ex.out(path))
	}
	final := merged(path)
	return im.t.link(final, merged(target), final != path, im.ex.out(final))
}

// place decides where an item goes; "" is nowhere.
func (im *importer) place(path string, it *item) (string, error) {
	if im.devices != nil && (it.Kind == pkg.Char || it.Kind == pkg.Block) && strings.HasPrefix(path, "dev/") {
		*im.devices++
		return "", nil
	}
	if im.o.AsIs && path != "" {
		return path, nil
	}
	return place(path, it.Kind, it.target)
}

func (im *importer) mtime(s int64) int64 {
	if im.o.MaxMTime > 0 {
		s = min(s, im.o.MaxMTime)
	}
	return max(s, 0)
}

// store puts the content of a file of n.Size bytes into the store.
func (im *importer) store(n *node, content io.Reader) error {
	src := &source{r: content}
	var r io.Reader = src
	keep := !im.o.AsIs && strings.HasPrefix(n.Path, "usr/lib/sysusers.d/") && strings.HasSuffix(n.Path, ".conf")
	if n.Size <= smallFile {
		if im.buf == nil {
			im.buf = make([]byte, smallFile)
		}
		b := im.buf[:n.Size]
		if _, err := io.ReadFull(src, b); err != nil {
			return malformed("%s: truncated", short(n.Path))
		}
		if keep {
			im.sysusers = append(im.sysusers, textFile{n.Path, bytes.Clone(b)})
		}
		r = bytes.NewReader(b)
	} else if keep {
		return malformed("%s: a sysusers.d file of %d bytes", short(n.Path), n.Size)
	}
	d, size, err := im.into.Put(im.ctx, r)
	switch {
	case src.err != nil:
		return malformed("%s: %w", short(n.Path), src.err)
	case err != nil:
		return fmt.Errorf("storing %s: %w", short(n.Path), err)
	case size != n.Size:
		return malformed("%s: %d bytes where the header says %d", short(n.Path), size, n.Size)
	}
	n.Digest = d
	return nil
}

// source remembers an error of the content, which a store wraps like its own.
type source struct {
	r   io.Reader
	err error
}

func (s *source) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	if err != nil && err != io.EOF {
		s.err = err
	}
	return n, err
}
