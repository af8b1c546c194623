package oci

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"

	"golang.org/x/sys/unix"
)

var (
	// ErrNotImage: the file or directory holds no image of containers.
	ErrNotImage = errors.New("not an image of containers")
	// ErrRefused: what it holds is not what it says it is.
	ErrRefused = errors.New("refused")
)

// maxMembers bounds the index of an archive; an image has some hundred blobs.
const maxMembers = 1 << 17

// Files are those of an image: a directory, of which only what lies in it is read,
// or a tar that is not compressed, of which any member can be read.
type Files struct {
	root    *os.Root
	archive *os.File
	members map[string]part
}

// part is where a member's content lies; link is what it stands for.
type part struct {
	off, size int64
	link      string
}

// Open opens the image in a file or directory. What holds none is ErrNotImage.
// The caller closes it.
func Open(name string) (*Files, error) {
	f, err := open(name)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	for _, must := range []string{layoutFile, dockerFile} {
		if r, _, err := f.Open(must); err == nil {
			r.Close()
			return f, nil
		}
	}
	f.Close()
	return nil, fmt.Errorf("%s: %w: it has neither %s nor %s", name, ErrNotImage, layoutFile, dockerFile)
}

func open(name string) (*Files, error) {
	// Without waiting for whoever writes into a pipe.
	f, err := os.OpenFile(name, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && info.IsDir() {
		f.Close()
		root, err := os.OpenRoot(name)
		return &Files{root: root}, err
	}
	files := &Files{archive: f, members: map[string]part{}}
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%w: no regular file", ErrNotImage)
	}
	if err == nil {
		err = files.index()
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return files, nil
}

// index notes where each member lies. A tar of something else ends it early.
func (f *Files) index() error {
	t := tar.NewReader(f.archive)
	for {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%w: %w", ErrNotImage, err)
		}
		if len(f.members) == maxMembers {
			return fmt.Errorf("%w: more than %d members", ErrNotImage, maxMembers)
		}
		name := path.Clean(h.Name)
		switch h.Typeflag {
		case tar.TypeReg:
			for k := range h.PAXRecords {
				if strings.HasPrefix(k, "GNU.sparse.") {
					return fmt.Errorf("%w: %s is sparse", ErrNotImage, name)
				}
			}
			// The reader takes nothing in advance, and passes over content by seeking.
			off, err := f.archive.Seek(0, io.SeekCurrent)
			if err != nil {
				return err
			}
			f.members[name] = part{off: off, size: h.Size}
		case tar.TypeSymlink:
			f.members[name] = part{link: path.Join(path.Dir(name), h.Linkname)}
		case tar.TypeLink:
			f.members[name] = part{link: path.Clean(h.Linkname)}
		}
	}
}

// Close closes what Open opened.
func (f *Files) Close() error {
	if f.root != nil {
		return f.root.Close()
	}
	return f.archive.Close()
}

// Open opens a file by its slash-separated name, and returns its size in bytes.
// A missing one wraps fs.ErrNotExist.
func (f *Files) Open(name string) (io.ReadCloser, int64, error) {
	if f.root != nil {
		file, err := f.root.OpenFile(name, os.O_RDONLY|unix.O_NONBLOCK, 0)
		if err != nil {
			return nil, 0, err
		}
		info, err := file.Stat()
		if err == nil && !info.Mode().IsRegular() {
			err = fmt.Errorf("%s: %w: no regular file", name, ErrRefused)
		}
		if err != nil {
			file.Close()
			return nil, 0, err
		}
		return file, info.Size(), nil
	}
	p, ok := f.members[name]
	if ok && p.link != "" {
		// docker save links equal layers, once.
		p, ok = f.members[p.link]
		ok = ok && p.link == ""
	}
	if !ok {
		return nil, 0, fmt.Errorf("%s: %w", name, fs.ErrNotExist)
	}
	return io.NopCloser(io.NewSectionReader(f.archive, p.off, p.size)), p.size, nil
}

// read reads a whole file of at most limit bytes.
func (f *Files) read(name string, limit int64) ([]byte, error) {
	r, size, err := f.Open(name)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	if size > limit {
		return nil, fmt.Errorf("%s: %w: %d bytes, the limit is %d", name, ErrRefused, size, limit)
	}
	b := make([]byte, size)
	if _, err := io.ReadFull(r, b); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return b, nil
}
