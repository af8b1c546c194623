package foreign

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"

	"golang.org/x/sys/unix"

	"ninefold/roots/deb"
	"ninefold/roots/export"
	"ninefold/roots/pkg"
	"ninefold/roots/store"
)

var (
	// ErrLayer: there is no such layer.
	ErrLayer = errors.New("no such layer")
	// ErrForm: what is in the file is not known.
	ErrForm = errors.New("no form that can be imported")
)

// Root brings a whole root: a tar, plain or compressed with gzip, xz, zstd or bzip2; an
// erofs file; a squashfs file; or a directory. A squashfs file, and what files in a compressed erofs file hold, a
// program of the machine's reads as nobody in a session of its own (ErrTool without it).
func Root(ctx context.Context, s *store.Store, path string, o Options) (*Result, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if o.Layer != 0 {
		return nil, fmt.Errorf("%s: %w: it is a root, and no image of containers", path, ErrLayer)
	}
	if info.IsDir() {
		return put(ctx, s, deb.Identity{Arch: runtime.GOARCH}, nil, path, o, func(as deb.Identity, with deb.Options) (*pkg.Package, *deb.Notes, error) {
			// By the descriptor, so that it is the one that was looked at.
			p, err := deb.FromDirectory(ctx, fmt.Sprintf("/proc/self/fd/%d", f.Fd()), as, s, with)
			return p, &deb.Notes{}, err
		})
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: %w: neither a file nor a directory", path, ErrForm)
	}
	form, err := formOf(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	var reader *tool
	how := ""
	switch form {
	case export.Squashfs:
		reader = &unsquasher
	case export.Erofs:
		if how, err = packed(f); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		if how != "" {
			reader = &unpacker
		}
	}
	var copied *jailed
	if reader != nil {
		if copied, err = jail(s, f, *reader, o.InitDir); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		defer copied.remove()
		f = copied.File
	}
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return nil, err
	}
	layer := deb.Layer{Name: path, Open: func(ctx context.Context) (io.ReadCloser, error) {
		switch {
		case how != "":
			return copied.unpacked(ctx, how, room(s))
		case form == export.Erofs:
			return tarOfErofs(ctx, f, inside), nil
		case form == export.Squashfs:
			return copied.tar(ctx)
		}
		return io.NopCloser(io.NewSectionReader(f, 0, info.Size())), nil
	}}
	as := deb.Identity{Version: "sha256:" + hex.EncodeToString(h.Sum(nil)), Arch: runtime.GOARCH}
	return put(ctx, s, as, nil, path, o, func(as deb.Identity, with deb.Options) (*pkg.Package, *deb.Notes, error) {
		p, notes, err := deb.FromLayers(ctx, []deb.Layer{layer}, as, s, with)
		if err == nil && len(notes.Removed) > 0 {
			err = fmt.Errorf("%w: /%s is a whiteout, so this is a layer of something, and no root", ErrUnusable, notes.Removed[0])
		}
		return p, notes, err
	})
}

// formOf tells a form by its first bytes.
func formOf(f *os.File) (string, error) {
	head := make([]byte, 2048)
	n, err := f.ReadAt(head, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return "", err
	}
	switch head = head[:n]; {
	case n >= 4 && string(head[:4]) == "hsqs":
		return export.Squashfs, nil
	case n >= 1028 && string(head[1024:1028]) == "\xe2\xe1\xf5\xe0":
		return export.Erofs, nil
	}
	return export.Tar, nil
}
