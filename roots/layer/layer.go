// Package layer writes the entries of packages and trees as tar archives: layers
// of container images, and whole roots.
package layer

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"
	"time"

	"ninefold/roots/image"
	"ninefold/roots/pkg"
)

// Whiteout begins the name of what hides a path of lower layers, and Opaque is
// the name of what hides all that a directory has in them (OCI image spec, layer.md).
const (
	Whiteout = ".wh."
	Opaque   = Whiteout + Whiteout + ".opq"
)

// ErrRefused: the entries hold what an archive of this kind cannot.
var ErrRefused = errors.New("refused")

// Objects opens the content of files. The caller closes what it gets.
type Objects interface {
	Object(d pkg.Digest) (*os.File, error)
}

// Write writes entries, sorted by path, as the tar of a layer. The same
// entries always give the same bytes.
func Write(ctx context.Context, from Objects, entries []pkg.Entry, w io.Writer) error {
	return (&writer{from: from, t: tar.NewWriter(w)}).all(ctx, entries)
}

// WriteRoot writes the entries of a whole root, sorted by path, as a tar in the
// PAX format (pax(1)), symbolic links in that of GNU; the root itself comes first, as ./ of root's. The same entries always give the
// same bytes. Devices and names that mean something in layers are as they are.
func WriteRoot(ctx context.Context, from Objects, entries []pkg.Entry, w io.Writer) error {
	t := &writer{from: from, t: tar.NewWriter(w), whole: true}
	if err := t.t.WriteHeader(&tar.Header{Format: tar.FormatPAX, Typeflag: tar.TypeDir, Name: "./", Mode: 0o755, ModTime: time.Unix(0, 0)}); err != nil {
		return err
	}
	return t.all(ctx, entries)
}

type writer struct {
	from  Objects
	t     *tar.Writer
	whole bool // and not a layer
	buf   []byte
}

func (w *writer) all(ctx context.Context, entries []pkg.Entry) error {
	w.buf = make([]byte, 256<<10)
	for i := range entries {
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		if err := w.entry(&entries[i]); err != nil {
			return fmt.Errorf("/%s: %w", entries[i].Path, err)
		}
	}
	return w.t.Close()
}

func (w *writer) entry(e *pkg.Entry) error {
	if !w.whole {
		if image.IsWhiteout(e) {
			dir, name := path.Split(e.Path)
			return w.t.WriteHeader(&tar.Header{Format: tar.FormatPAX, Typeflag: tar.TypeReg, Name: dir + Whiteout + name, ModTime: time.Unix(0, 0)})
		}
		if strings.HasPrefix(path.Base(e.Path), Whiteout) {
			return fmt.Errorf("%w: container engines read a name that begins with %s as a removal", ErrRefused, Whiteout)
		}
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
	case pkg.Char, pkg.Block:
		if !w.whole {
			return fmt.Errorf("%w: devices do not travel", ErrRefused)
		}
		h.Typeflag, h.Devmajor, h.Devminor = tar.TypeChar, int64(e.Major), int64(e.Minor)
		if e.Kind == pkg.Block {
			h.Typeflag = tar.TypeBlock
		}
	}
	if len(e.Xattrs) > 0 && e.Link == "" {
		h.PAXRecords = map[string]string{}
		for _, x := range e.Xattrs {
			h.PAXRecords["SCHILY.xattr."+x.Name] = string(x.Value)
		}
	}
	if w.whole && h.Typeflag == tar.TypeSymlink && len(e.Xattrs) == 0 {
		// mksquashfs 4.5 takes the slash off a target that stands in a PAX record.
		h.Format = tar.FormatGNU
	}
	if err := w.t.WriteHeader(h); err != nil {
		return err
	}
	if h.Size == 0 {
		return nil
	}
	f, err := w.from.Object(e.Digest)
	if err != nil {
		return err
	}
	defer f.Close()
	// What is left over or missing is an error of the tar writer. A plain reader:
	// else the file would try to be clever and take a buffer of its own.
	_, err = io.CopyBuffer(w.t, struct{ io.Reader }{f}, w.buf)
	return err
}
