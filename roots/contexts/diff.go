package contexts

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"ninefold/internal/regular"
	"ninefold/namespaces/plan"
	"ninefold/namespaces/upper"
)

// Diff is how a context differs from the machine.
type Diff struct {
	Packages []PackageChange `json:"packages"`
	Files    []FileChange    `json:"files"`
	// Hidden is how many files are left out: those of the packages above, and the
	// notes of package managers.
	Hidden int `json:"hidden"`
}

// FileChange is a file that the layer holds.
type FileChange struct {
	Path string `json:"path"`
	// Change is "added", "changed", "removed", "attributes" (owner, mode or times
	// alone) or "replaced" (a directory none of whose old content is seen).
	Change string `json:"change"`
	// Kind is "file", "directory", "link" or "other".
	Kind string `json:"kind"`
	Size int64  `json:"size,omitempty"`
	// Package is the one that brought it, Own that it is a package manager's or
	// Ninefold's own.
	Package string `json:"package,omitempty"`
	Own     bool   `json:"own,omitempty"`
}

const (
	// maxFiles bounds what is looked at in a layer.
	maxFiles = 1_000_000
	// maxMerge is the largest file that is merged.
	maxMerge = 4 << 20
	// maxCompare is the largest file whose content is compared; of a larger one
	// the same size is taken for a change.
	maxCompare = 64 << 20
	opaque     = "trusted.overlay.opaque"
)

// own are directories and files that package managers write about themselves, and
// caches that are made again.
var own = []string{
	"/var/lib/dpkg", "/var/lib/apt", "/var/cache/apt", "/var/cache/debconf", "/var/cache/ldconfig", "/var/cache/man", "/var/cache/fontconfig",
	"/var/log/apt", "/var/log/dpkg.log", "/var/log/alternatives.log", "/etc/ld.so.cache", "/var/lib/systemd/deb-systemd-helper-enabled",
	"/etc/passwd-", "/etc/group-", "/etc/shadow-", "/etc/gshadow-", "/etc/subuid-", "/etc/subgid-", "/etc/.pwd.lock", "/etc/mailcap", "/usr/share/info/dir", "/usr/share/mime", "/usr/share/applications/mimeinfo.cache",
}

// Compare compares a layer with the host below root ("/"). With all it tells of
// every file.
func (s *Store) Compare(ctx context.Context, r Record, root string, ours map[string]string, all bool) (*Diff, error) {
	dir := s.LayerDir(r, r.Layer)
	d := &Diff{Files: []FileChange{}}
	var err error
	if d.Packages, err = comparePackagesIn(dir, root); err != nil {
		return nil, fmt.Errorf("compare the packages of the context %s: %w", r.Name, err)
	}
	p, err := packagedIn(dir)
	if err != nil {
		return nil, err
	}
	err = walkOver(ctx, dir, root, ours, func(c *comparison, e *upper.Entry) error {
		f, ok, err := c.entry(e)
		if err != nil || !ok {
			return err
		}
		f.Package = p.owners[merged(f.Path)]
		f.Own = f.Own || isOwn(f.Path)
		if !all && (f.Own || f.Package != "" && !edited(p.sums, e)) {
			d.Hidden++
			return nil
		}
		d.Files = append(d.Files, f)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("compare the files of the context %s: %w", r.Name, err)
	}
	slices.SortFunc(d.Files, func(a, b FileChange) int { return cmp.Compare(a.Path, b.Path) })
	return d, nil
}

// Base is where a layer keeps the machine's package lists as they were when it
// was begun.
const Base = "base"

func comparePackagesIn(dir, root string) ([]PackageChange, error) {
	base := filepath.Join(dir, Base)
	if _, err := os.Stat(base); errors.Is(err, fs.ErrNotExist) {
		base = root
	}
	var texts [4]string
	var err error
	for i, name := range []string{statusFile, extendedFile} {
		if texts[i], err = text(filepath.Join(base, name)); err != nil {
			return nil, err
		}
		above := inLayer(dir, name)
		if _, err := os.Lstat(above); errors.Is(err, fs.ErrNotExist) {
			texts[2+i] = texts[i] // seen through the layer
			continue
		}
		if texts[2+i], err = text(above); err != nil {
			return nil, err
		}
	}
	below, err := packagesOf(texts[0], texts[1])
	if err != nil {
		return nil, err
	}
	above, err := packagesOf(texts[2], texts[3])
	if err != nil {
		return nil, err
	}
	return comparePackages(below, above), nil
}

// inLayer is where a path of the root lies in a layer: below that of the nearest
// file system of the host's that has one.
func inLayer(dir, name string) string {
	best, at := "", "upper"
	entries, _ := os.ReadDir(dir) // a layer that cannot be read has nothing
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), "@") {
			continue
		}
		layer := path.Join(e.Name(), "upper")
		if on := upper.MountOf(layer); strings.HasPrefix(name, on+"/") && len(on) > len(best) {
			best, at = on, layer
		}
	}
	return filepath.Join(dir, at, strings.TrimPrefix(name, best))
}

// ownersIn says which package brought a file, of those that were installed or
// upgraded in the layer.
func ownersIn(dir string) (map[string]string, error) {
	lists := inLayer(dir, infoDir)
	entries, err := os.ReadDir(lists)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	owners := map[string]string{}
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), ".list")
		if !ok || !e.Type().IsRegular() {
			continue
		}
		b, err := regular.Read(filepath.Join(lists, e.Name()), maxStatus)
		if err != nil {
			return nil, err
		}
		pkg, _, _ := strings.Cut(name, ":")
		for line := range strings.Lines(string(b)) {
			owners[merged(strings.TrimSpace(line))] = pkg
		}
	}
	return owners, nil
}

// merged is the one name of a file below a directory that is a link into /usr on
// Debian's machines: packages name either.
func merged(name string) string {
	first, _, _ := strings.Cut(strings.TrimPrefix(name, "/"), "/")
	if first == "bin" || first == "sbin" || strings.HasPrefix(first, "lib") {
		return "/usr" + name
	}
	return name
}

// walkOver visits what is in a layer, with the host below root, and files of
// Ninefold's, to compare it with.
func walkOver(ctx context.Context, dir, root string, ours map[string]string, visit func(*comparison, *upper.Entry) error) error {
	host, err := os.Open(root)
	if err != nil {
		return err
	}
	defer host.Close()
	c := &comparison{host: host, ours: ours}
	return walkLayer(ctx, dir, func(e *upper.Entry) error {
		if projected(e) {
			return nil
		}
		return visit(c, e)
	})
}

// projected reports whether an entry is a link by which a context shows a file of
// the machine's that does not stand on the machine.
func projected(e *upper.Entry) bool {
	if e.Stat.Mode&unix.S_IFMT != unix.S_IFLNK {
		return false
	}
	text, err := readlink(int(e.Parent.Fd()), e.Base())
	return err == nil && strings.HasPrefix(text, plan.MachineDir+"/")
}

type comparison struct {
	host *os.File
	// ours are files of Ninefold's, with what is in them.
	ours map[string]string
}

// entry says what an entry of a layer changes. A directory that is there on the
// host too is told of only when it is not the same.
func (c *comparison) entry(e *upper.Entry) (f FileChange, ok bool, err error) {
	f = FileChange{Path: e.Path(), Kind: kindOf(e.Stat.Mode)}
	if f.Kind == "file" {
		f.Size = e.Stat.Size
	}
	if e.Whiteout() {
		f.Change, f.Kind = "removed", "file"
		if was, _, err := c.below(f.Path); err == nil {
			f.Kind = kindOf(was.Mode)
		}
		return f, true, nil
	}
	was, fd, err := c.below(f.Path)
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP) {
		f.Change = "added"
		f.Own = c.isOurs(e, f.Path)
		return f, true, nil
	}
	if err != nil {
		return f, false, err
	}
	defer fd.Close()
	sameMeta := was.Mode == e.Stat.Mode && was.Uid == e.Stat.Uid && was.Gid == e.Stat.Gid
	switch {
	case was.Mode&unix.S_IFMT != e.Stat.Mode&unix.S_IFMT:
		f.Change = "changed"
	case e.IsDir():
		if isOpaque(e) {
			f.Change = "replaced"
		} else if sameMeta {
			return f, false, nil
		} else {
			f.Change = "attributes"
		}
	default:
		same, err := c.sameContent(e, was, fd)
		if err != nil {
			return f, false, err
		}
		switch {
		case !same:
			f.Change = "changed"
			f.Own = c.isOurs(e, f.Path)
		case !sameMeta || was.Mtim != e.Stat.Mtim:
			f.Change = "attributes"
		default:
			return f, false, nil // opened for writing, and left as it was
		}
	}
	return f, true, nil
}

// below looks at a path of the host, following no link: who owns a directory on
// the way must not choose what is compared.
func (c *comparison) below(name string) (st unix.Stat_t, f *os.File, err error) {
	how := unix.OpenHow{Flags: unix.O_PATH | unix.O_NOFOLLOW | unix.O_CLOEXEC, Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS}
	fd, err := unix.Openat2(int(c.host.Fd()), strings.TrimPrefix(name, "/"), &how)
	if err == unix.ELOOP { // a link itself is looked at
		how.Resolve = unix.RESOLVE_BENEATH
		fd, err = unix.Openat2(int(c.host.Fd()), strings.TrimPrefix(name, "/"), &how)
	}
	if err != nil {
		return st, nil, err
	}
	f = os.NewFile(uintptr(fd), name)
	if err := unix.Fstat(fd, &st); err != nil {
		f.Close()
		return st, nil, err
	}
	return st, f, nil
}

func (c *comparison) sameContent(e *upper.Entry, was unix.Stat_t, below *os.File) (bool, error) {
	switch e.Stat.Mode & unix.S_IFMT {
	case unix.S_IFLNK:
		a, err := readlink(int(e.Parent.Fd()), e.Base())
		if err != nil {
			return false, err
		}
		b, err := readlink(int(below.Fd()), "")
		return a == b, err
	case unix.S_IFREG:
	default:
		return was.Rdev == e.Stat.Rdev, nil
	}
	if was.Size != e.Stat.Size || was.Size > maxCompare {
		return false, nil
	}
	above, err := openAt(int(e.Parent.Fd()), e.Base())
	if err != nil {
		return false, err
	}
	defer above.Close()
	under, err := os.Open(procName(below))
	if err != nil {
		return false, err
	}
	defer under.Close()
	return sameBytes(above, under)
}

func sameBytes(a, b io.Reader) (bool, error) {
	x, y := make([]byte, 64<<10), make([]byte, 64<<10)
	for {
		n, err := io.ReadFull(a, x)
		m, err2 := io.ReadFull(b, y)
		if !bytes.Equal(x[:n], y[:m]) {
			return false, nil
		}
		if ends(err) || ends(err2) {
			return ends(err) && ends(err2), nil
		}
		if err = errors.Join(err, err2); err != nil {
			return false, err
		}
	}
}

func ends(err error) bool { return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) }

// procName is a magic link to the file that was looked at.
func procName(f *os.File) string { return fmt.Sprintf("/proc/self/fd/%d", f.Fd()) }

func isOwn(name string) bool {
	return slices.ContainsFunc(own, func(dir string) bool { return name == dir || strings.HasPrefix(name, dir+"/") })
}

func openAt(dir int, name string) (*os.File, error) {
	fd, err := unix.Openat(dir, name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: name, Err: err}
	}
	return os.NewFile(uintptr(fd), name), nil
}

func readlink(dir int, name string) (string, error) {
	text := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(dir, name, text)
	if err != nil {
		return "", &os.PathError{Op: "readlink", Path: name, Err: err}
	}
	return string(text[:n]), nil
}

// isOurs reports whether a file is one of Ninefold's, as it was written.
func (c *comparison) isOurs(e *upper.Entry, name string) bool {
	want, ok := c.ours[name]
	if !ok || e.Stat.Size != int64(len(want)) {
		return false
	}
	f, err := openAt(int(e.Parent.Fd()), e.Base())
	if err != nil {
		return false
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, int64(len(want))+1))
	return err == nil && string(b) == want
}

func isOpaque(e *upper.Entry) bool {
	d, err := upper.OpenDir(e.Parent, e.Base())
	if err != nil {
		return false
	}
	defer d.Close()
	var v [1]byte
	n, err := unix.Fgetxattr(int(d.Fd()), opaque, v[:])
	return err == nil && n == 1 && v[0] == 'y'
}

func kindOf(mode uint32) string {
	switch mode & unix.S_IFMT {
	case unix.S_IFREG:
		return "file"
	case unix.S_IFDIR:
		return "directory"
	case unix.S_IFLNK:
		return "link"
	}
	return "other"
}
