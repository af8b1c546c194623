package deb

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"ninefold/roots/pkg"
)

// maxDepth bounds the nesting of a directory that is read.
const maxDepth = 512

// FromDirectory makes one package of a directory tree as it is, owners and
// modes included: whether to trust a tree that root does not own is for the
// caller to decide. Every name is opened below the directory's descriptor
// without following links (openat2(2), RESOLVE_BENEATH), so a tree that
// changes meanwhile cannot lead out of it; a file that changes while it is read
// is an error.
func FromDirectory(ctx context.Context, dir string, as Identity, into Objects, o Options) (*pkg.Package, error) {
	fail := func(err error) (*pkg.Package, error) {
		return nil, fmt.Errorf("directory %s: %w", dir, err)
	}
	root, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fail(err)
	}
	defer unix.Close(root)
	im, err := newImporter(ctx, into, o)
	if err != nil {
		return fail(err)
	}
	im.keepExcluded, im.byName = true, false
	if o.AsIs {
		im.devices = new(int) // a session has its own
	}
	w := &walker{im: im, root: root, seen: map[[2]uint64]string{}}
	if err := w.dir(".", 0); err != nil {
		return fail(err)
	}
	var p *pkg.Package
	if o.AsIs {
		p, err = asIs(im.t, as)
	} else {
		p, err = im.finish(as.control())
	}
	if err != nil {
		return fail(err)
	}
	return p, nil
}

type walker struct {
	im   *importer
	root int
	seen map[[2]uint64]string // device and inode of files with several names
}

func (w *walker) open(path string, flags int) (*os.File, error) {
	fd, err := unix.Openat2(w.root, path, &unix.OpenHow{
		Flags:   uint64(flags | unix.O_CLOEXEC | unix.O_NOFOLLOW),
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS,
	})
	if err != nil {
		return nil, &os.PathError{Op: "openat2", Path: path, Err: err}
	}
	return os.NewFile(uintptr(fd), path), nil
}

func (w *walker) dir(path string, depth int) error {
	if depth > maxDepth {
		return malformed("%s: directories nested more than %d deep", short(path), maxDepth)
	}
	d, err := w.open(path, unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		return err
	}
	names, err := d.Readdirnames(pkg.MaxEntries)
	d.Close()
	if err != nil && err != io.EOF {
		return err
	}
	slices.Sort(names)
	for _, name := range names {
		p := name
		if path != "." {
			p = path + "/" + name
		}
		isDir, err := w.entry(p)
		if err != nil {
			return err
		}
		if isDir {
			if err := w.dir(p, depth+1); err != nil {
				return err
			}
		}
	}
	return nil
}

func (w *walker) entry(path string) (isDir bool, err error) {
	if len(path) > pkg.MaxPath {
		return false, malformed("%s: path of %d bytes", short(path), len(path))
	}
	// O_PATH: opening a device or a fifo for real could block or act.
	h, err := w.open(path, unix.O_PATH)
	if err != nil {
		return false, err
	}
	defer h.Close()
	var st unix.Stat_t
	if err := unix.Fstat(int(h.Fd()), &st); err != nil {
		return false, &os.PathError{Op: "fstat", Path: path, Err: err}
	}
	it := &item{mtimeSeconds: st.Mtim.Sec}
	it.Path, it.Mode, it.UID, it.GID = path, st.Mode&0o7777, st.Uid, st.Gid
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFDIR:
		it.Kind = pkg.Dir
	case unix.S_IFREG:
		it.Kind, it.Size = pkg.File, st.Size
	case unix.S_IFLNK:
		it.Kind = pkg.Symlink
		buf := make([]byte, pkg.MaxPath+1)
		n, err := unix.Readlinkat(int(h.Fd()), "", buf)
		if err != nil {
			return false, &os.PathError{Op: "readlinkat", Path: path, Err: err}
		}
		it.target = string(buf[:n])
	case unix.S_IFIFO:
		it.Kind = pkg.Fifo
	case unix.S_IFCHR, unix.S_IFBLK:
		it.Kind = pkg.Char
		if st.Mode&unix.S_IFMT == unix.S_IFBLK {
			it.Kind = pkg.Block
		}
		it.Major, it.Minor = unix.Major(st.Rdev), unix.Minor(st.Rdev)
	case unix.S_IFSOCK:
		it.special = "sockets do not belong in a package"
	}
	if it.Kind == pkg.File {
		key := [2]uint64{st.Dev, st.Ino}
		if first, ok := w.seen[key]; ok && st.Nlink > 1 {
			it.link = first
			return false, w.im.add(it)
		}
		if st.Nlink > 1 {
			w.seen[key] = path
		}
		return false, w.file(it, &st)
	}
	if it.Kind == pkg.Dir {
		d, err := w.open(path, unix.O_RDONLY|unix.O_DIRECTORY)
		if err != nil {
			return false, err
		}
		it.Xattrs, err = readXattrs(d)
		d.Close()
		if err != nil {
			return false, err
		}
	}
	return it.Kind == pkg.Dir, w.im.add(it)
}

func (w *walker) file(it *item, st *unix.Stat_t) error {
	f, err := w.open(it.Path, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY)
	if err != nil {
		return err
	}
	defer f.Close()
	var now unix.Stat_t
	changed := func() error {
		if err := unix.Fstat(int(f.Fd()), &now); err != nil {
			return &os.PathError{Op: "fstat", Path: it.Path, Err: err}
		}
		if now.Ino != st.Ino || now.Dev != st.Dev || now.Mode != st.Mode || now.Size != st.Size || now.Mtim != st.Mtim {
			return fmt.Errorf("%s: the file changed while it was read", short(it.Path))
		}
		return nil
	}
	if err := changed(); err != nil {
		return err
	}
	if it.Xattrs, err = readXattrs(f); err != nil {
		return err
	}
	it.content = io.LimitReader(f, it.Size)
	if err := w.im.add(it); err != nil {
		return errors.Join(changed(), err)
	}
	return changed()
}

// readXattrs lists the attributes that a package keeps. Symbolic links and
// special files have none of those.
func readXattrs(f *os.File) ([]pkg.Xattr, error) {
	fd := int(f.Fd())
	buf := make([]byte, 64<<10) // XATTR_LIST_MAX
	n, err := unix.Flistxattr(fd, buf)
	if err == unix.ENOTSUP {
		return nil, nil
	}
	if err != nil {
		return nil, &os.PathError{Op: "flistxattr", Path: f.Name(), Err: err}
	}
	var out []pkg.Xattr
	for name := range strings.SplitSeq(string(buf[:n]), "\x00") {
		if name == "" {
			continue
		}
		keep, err := keepXattr(name)
		if err != nil {
			return nil, malformed("%s: %w", short(f.Name()), err)
		}
		if !keep {
			continue
		}
		value := make([]byte, pkg.MaxXattrValue)
		n, err := unix.Fgetxattr(fd, name, value)
		if err != nil {
			return nil, &os.PathError{Op: "fgetxattr " + name, Path: f.Name(), Err: err}
		}
		out = append(out, pkg.Xattr{Name: name, Value: slices.Clone(value[:n])})
	}
	return out, nil
}
