package foreign

import (
	"archive/tar"
	"context"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"time"

	"github.com/erofs/go-erofs"
)

// content opens what a file of an erofs file holds.
type content func(img links, name string, size int64) (io.ReadCloser, error)

// inside is content of a file without compression.
func inside(img links, name string, _ int64) (io.ReadCloser, error) { return img.Open(name) }

// tarOfErofs gives what an erofs file holds as a tar, read in user space. Closing it
// before its end ends the reading.
func tarOfErofs(ctx context.Context, f io.ReaderAt, open content) io.ReadCloser {
	r, w := io.Pipe()
	go func() { w.CloseWithError(writeErofs(ctx, f, open, w)) }()
	return r
}

// maxDepth bounds the nesting of directories.
const maxDepth = 512

type links interface {
	fs.FS
	ReadLink(name string) (string, error)
}

func writeErofs(ctx context.Context, f io.ReaderAt, open content, w io.Writer) error {
	t := tar.NewWriter(w)
	first := map[int64]string{} // by inode, of files with several names
	err := walkErofs(ctx, f, func(img links, name string, st *erofs.Stat) error { return member(t, img, name, st, first, open) })
	if err != nil {
		return err
	}
	return t.Close()
}

// walkErofs calls each for what an erofs file says of every file but the root. Errors wrap ErrUnusable.
func walkErofs(ctx context.Context, f io.ReaderAt, each func(img links, name string, st *erofs.Stat) error) (err error) {
	// What is in the file may break the reader, and must not break more.
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("%w: erofs: %v", ErrUnusable, v)
		}
	}()
	opened, err := erofs.Open(f)
	if err != nil {
		return fmt.Errorf("%w: erofs: %w", ErrUnusable, err)
	}
	img, ok := opened.(links)
	if !ok {
		return fmt.Errorf("%w: erofs: links cannot be read", ErrUnusable)
	}
	err = fs.WalkDir(img, ".", func(name string, d fs.DirEntry, err error) error {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil || name == "." {
			return err
		}
		// A directory that holds itself has no end, and each level costs more to reach.
		if strings.Count(name, "/") > maxDepth {
			return fmt.Errorf("directories nested more than %d deep", maxDepth)
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		st, ok := info.Sys().(*erofs.Stat)
		if !ok {
			return fmt.Errorf("%w: erofs: %s has no attributes", ErrUnusable, name)
		}
		return each(img, name, st)
	})
	if err != nil {
		return fmt.Errorf("%w: erofs: %w", ErrUnusable, err)
	}
	return nil
}

func member(t *tar.Writer, img links, name string, st *erofs.Stat, first map[int64]string, open content) error {
	mode := st.Mode
	h := &tar.Header{Format: tar.FormatPAX, Name: name, Uid: int(st.UID), Gid: int(st.GID), ModTime: time.Unix(int64(st.Mtime), 0), Mode: int64(mode.Perm())}
	for bit, flag := range map[fs.FileMode]int64{fs.ModeSetuid: 0o4000, fs.ModeSetgid: 0o2000, fs.ModeSticky: 0o1000} {
		if mode&bit != 0 {
			h.Mode |= flag
		}
	}
	for k, v := range st.Xattrs {
		if h.PAXRecords == nil {
			h.PAXRecords = map[string]string{}
		}
		h.PAXRecords["SCHILY.xattr."+k] = v
	}
	switch mode.Type() {
	case fs.ModeDir:
		h.Typeflag, h.Name = tar.TypeDir, name+"/"
	case fs.ModeSymlink:
		target, err := img.ReadLink(name)
		if err != nil {
			return err
		}
		h.Typeflag, h.Linkname = tar.TypeSymlink, target
	case 0:
		h.Typeflag, h.Size = tar.TypeReg, st.Size
		if st.Nlink > 1 {
			if have, ok := first[st.Ino]; ok {
				h.Typeflag, h.Linkname, h.Size, h.PAXRecords = tar.TypeLink, have, 0, nil
			} else {
				first[st.Ino] = name
			}
		}
	case fs.ModeNamedPipe:
		h.Typeflag = tar.TypeFifo
	case fs.ModeDevice, fs.ModeDevice | fs.ModeCharDevice:
		h.Typeflag = tar.TypeBlock
		if mode&fs.ModeCharDevice != 0 {
			h.Typeflag = tar.TypeChar
		}
		// What devices there are does not matter: none comes into an image.
	default:
		return fmt.Errorf("%s is of no kind that an image holds: %s", name, mode)
	}
	if err := t.WriteHeader(h); err != nil || h.Typeflag != tar.TypeReg || h.Size == 0 {
		return err
	}
	f, err := open(img, name, h.Size)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.Copy(t, f)
	return err
}
