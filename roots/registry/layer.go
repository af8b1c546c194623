package registry

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
	"time"

	"ninefold/roots/image"
	"ninefold/roots/pkg"
	"ninefold/roots/store"
)

// whiteout begins the name of what hides a path of lower layers (OCI image
// spec, layer.md).
const whiteout = ".wh."

// writeLayer writes entries, sorted by path, as the tar of a layer. The same
// entries always give the same bytes.
func writeLayer(ctx context.Context, s *store.Store, entries []pkg.Entry, w io.Writer) error {
	t := tar.NewWriter(w)
	for i := range entries {
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		if err := writeEntry(s, t, &entries[i]); err != nil {
			return fmt.Errorf("/%s: %w", entries[i].Path, err)
		}
	}
	return t.Close()
}

func writeEntry(s *store.Store, t *tar.Writer, e *pkg.Entry) error {
	if image.IsWhiteout(e) {
		dir, name := path.Split(e.Path)
		return t.WriteHeader(&tar.Header{Format: tar.FormatPAX, Typeflag: tar.TypeReg, Name: dir + whiteout + name, ModTime: time.Unix(0, 0)})
	}
	if strings.HasPrefix(path.Base(e.Path), whiteout) {
		return fmt.Errorf("%w: container engines read a name that begins with %s as a removal", ErrRefused, whiteout)
	}
	h := &tar.Header{Format: tar.FormatPAX, Name: e.Path, Mode: int64(e.Mode), Uid: int(e.UID), Gid: int(e.GID), ModTime: time.Unix(e.MTime, 0)}
	switch e.Kind {
	case pkg.Dir:
		h.Typeflag, h.Name = tar.TypeDir, e.Path+"/"
	case pkg.Symlink:
		h.Typeflag, h.Linkname = tar.TypeSymlink, e.Target
	case pkg.Fifo:
		h.Typeflag = tar.TypeFifo
	case pkg.File:
		h.Typeflag, h.Size = tar.TypeReg, e.Size
		if e.Link != "" {
			h.Typeflag, h.Linkname, h.Size = tar.TypeLink, e.Link, 0
		}
	default:
		return fmt.Errorf("%w: devices do not travel", ErrRefused)
	}
	if len(e.Xattrs) > 0 && e.Link == "" {
		h.PAXRecords = map[string]string{}
		for _, x := range e.Xattrs {
			h.PAXRecords["SCHILY.xattr."+x.Name] = string(x.Value)
		}
	}
	if err := t.WriteHeader(h); err != nil {
		return err
	}
	if h.Size == 0 {
		return nil
	}
	f, err := s.Object(e.Digest)
	if err != nil {
		return err
	}
	defer f.Close()
	// What is left over or missing is an error of the tar writer.
	_, err = io.Copy(t, f)
	return err
}

// readLayer puts the contents of p's files into the store from the tar in r.
// What a file is, and what it holds, is what p says; the tar only carries the bytes.
func readLayer(ctx context.Context, s *store.Store, p *pkg.Package, r io.Reader) error {
	t := tar.NewReader(r)
	for n := 0; ; n++ {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if n >= len(p.Entries) {
			return fmt.Errorf("%w: package %s: its layer holds more than its record", ErrRefused, p.Name)
		}
		if h.Typeflag != tar.TypeReg {
			continue
		}
		e := p.Entry(h.Name)
		if e == nil || e.Kind != pkg.File || e.Link != "" || e.Size != h.Size {
			return fmt.Errorf("%w: package %s: its layer holds %q of %d bytes, and its record does not", ErrRefused, p.Name, h.Name, h.Size)
		}
		d, _, err := s.Put(ctx, t)
		if err != nil {
			return err
		}
		if d != e.Digest {
			return fmt.Errorf("%w: package %s: /%s has the digest %s, and its record names %s", ErrRefused, p.Name, e.Path, d.Short(), e.Digest.Short())
		}
	}
}
