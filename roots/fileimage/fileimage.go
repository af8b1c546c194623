// Package fileimage reads, in user space, what a session must know of an erofs
// file that it is to stand on, before the kernel mounts that: accounts, shells,
// languages and desktops. It looks at some directories and not at the whole.
package fileimage

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"

	"github.com/erofs/go-erofs"
	"golang.org/x/sys/unix"

	"ninefold/roots/image"
	"ninefold/roots/pkg"
)

// ErrUnreadable: the file is no erofs file, or one that is compressed or damaged.
var ErrUnreadable = errors.New("not an erofs file that can be read")

// looked are the directories whose entries are read: where shells, their links
// and what is asked of an image lie.
var looked = []string{"", "bin", "sbin", "etc", "etc/alternatives", "usr", "usr/bin", "usr/sbin", "usr/local", "usr/local/bin", "usr/lib", "usr/lib/locale",
	"usr/share", "usr/share/zoneinfo", "usr/share/xsessions", "usr/share/wayland-sessions"}

// Bounds of what is read.
const (
	maxEntries = 1 << 16 // of one directory
	maxContent = 1 << 20 // bytes of one file
)

// Image is what was looked at of a file.
type Image struct {
	fsys fs.FS
	tree *image.Tree
	// names are the paths of regular files by what stands for their digests: a
	// hash of the path.
	names map[pkg.Digest]string
}

// Read looks at the erofs file f, which stays the caller's and open as long as the Image is used.
func Read(f *os.File) (i *Image, err error) {
	// The reader checks what it reads; should it miss something, that is no reason to end.
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("%s: %w: %v", f.Name(), ErrUnreadable, v)
		}
	}()
	fsys, err := erofs.Open(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %w", f.Name(), ErrUnreadable, err)
	}
	i = &Image{fsys: fsys, names: map[pkg.Digest]string{}}
	p := &pkg.Package{Name: "file"}
	for _, dir := range looked {
		if err := i.look(dir, p); err != nil {
			return nil, fmt.Errorf("%s: %w: %w", f.Name(), ErrUnreadable, err)
		}
	}
	p.Sort()
	m := &image.Manifest{Name: "file", Packages: []image.Ref{{Name: p.Name}}}
	if i.tree, err = image.Flatten([]image.Built{{Manifest: m, Packages: []*pkg.Package{p}}}); err != nil {
		return nil, fmt.Errorf("%s: %w: %w", f.Name(), ErrUnreadable, err)
	}
	return i, nil
}

// look adds the entries of one directory, which is not there or a link in many images.
func (i *Image) look(dir string, p *pkg.Package) error {
	name := dir
	if name == "" {
		name = "."
	}
	if info, err := fs.Lstat(i.fsys, name); err != nil || !info.IsDir() {
		if errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
		return err
	}
	list, err := fs.ReadDir(i.fsys, name)
	if err != nil {
		return err
	}
	if len(list) > maxEntries {
		return fmt.Errorf("/%s holds more than %d entries", dir, maxEntries)
	}
	for _, d := range list {
		info, err := d.Info()
		if err != nil {
			return err
		}
		e := pkg.Entry{Path: path.Join(dir, d.Name()), Mode: uint32(info.Mode().Perm())}
		switch info.Mode().Type() {
		case fs.ModeDir:
			e.Kind = pkg.Dir
		case fs.ModeSymlink:
			e.Kind, e.Mode = pkg.Symlink, 0o777
			if e.Target, err = fs.ReadLink(i.fsys, e.Path); err != nil {
				return err
			}
		case 0:
			e.Kind, e.Size = pkg.File, info.Size()
			e.Digest = sha256.Sum256([]byte(e.Path))
			i.names[e.Digest] = e.Path
		default:
			continue
		}
		p.Entries = append(p.Entries, e)
	}
	return nil
}

// Tree is what was looked at. The digests in it name nothing but what Object opens.
func (i *Image) Tree() *image.Tree { return i.tree }

// Object reads the content of a file of Tree, of 1 MiB at most. The caller closes it.
func (i *Image) Object(d pkg.Digest) (f *os.File, err error) {
	name, ok := i.names[d]
	if !ok {
		return nil, fmt.Errorf("a file that was not looked at: %w", fs.ErrNotExist)
	}
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("/%s: %w: %v", name, ErrUnreadable, v)
		}
	}()
	if info, err := fs.Stat(i.fsys, name); err != nil || info.Size() > maxContent {
		return nil, fmt.Errorf("/%s: %w: more than %d bytes, or damaged: %w", name, ErrUnreadable, maxContent, err)
	}
	b, err := fs.ReadFile(i.fsys, name)
	if err != nil {
		return nil, fmt.Errorf("/%s: %w: %w", name, ErrUnreadable, err)
	}
	fd, err := unix.MemfdCreate(path.Base(name), unix.MFD_CLOEXEC)
	if err != nil {
		return nil, err
	}
	f = os.NewFile(uintptr(fd), name)
	if _, err = f.Write(b); err == nil {
		_, err = f.Seek(0, 0)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}
