package contexts

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"ninefold/namespaces/upper"
	"ninefold/roots/pkg"
)

// ErrNotCommittable says that a context holds what no image can hold.
var ErrNotCommittable = errors.New("it cannot be part of an image")

// Commit is what an image has to hold to be over the machine what a context is.
type Commit struct {
	Packages []PackageChange `json:"packages"`
	Files    int             `json:"files"`
	// Removed are paths of the machine that are gone.
	Removed []string `json:"removed"`
	// Left is what cannot be said of an image.
	Left []Left `json:"left_out"`
	// SHA256 is the hash of the archive with the files, 64 hex digits.
	SHA256 string `json:"sha256"`
}

// Left is something of a context that does not get into an image.
type Left struct {
	Path string `json:"path"`
	Why  string `json:"why"`
}

// notInImages are directories that are the machine's or its people's whatever an image holds.
var notInImages = []string{"/home", "/root", "/boot", "/tmp", "/run", "/dev", "/proc", "/sys", "/var/tmp", "/var/log", "/var/cache", "/lost+found"}

// removable is where an image can say that a file of the machine is gone, and
// notSeen what builds do not look at there.
var (
	removable = []string{"/etc", "/usr"}
	notSeen   = []string{"/usr/share/doc", "/usr/share/man", "/usr/src", "/usr/share/locale", "/usr/include"}
)

// Commit writes the files of the layer in use, whose root is the host's at root, as
// a tar archive with the ids that are on disk, and says what else makes the
// difference. Nobody may be in the context. The same layer gives the same bytes.
func (s *Store) Commit(ctx context.Context, r Record, root string, out io.Writer) (*Commit, error) {
	dir := s.LayerDir(r, r.Layer)
	h := sha256.New()
	c := &committer{out: &Commit{Removed: []string{}, Left: []Left{}},
		tar: tar.NewWriter(io.MultiWriter(out, h)), names: map[[2]uint64]string{}, left: map[string]bool{}}
	err := c.tar.WriteHeader(&tar.Header{Typeflag: tar.TypeXGlobalHeader, PAXRecords: map[string]string{"comment": CommitMark}})
	if err != nil {
		return nil, err
	}
	if c.out.Packages, err = comparePackagesIn(dir, root); err != nil {
		return nil, err
	}
	if err := c.accounts(dir, root); err != nil {
		return nil, err
	}
	if err := walkOver(ctx, dir, root, nil, func(host *comparison, e *upper.Entry) error {
		c.host = host
		return c.entry(e)
	}); err != nil {
		return nil, fmt.Errorf("commit the context %s: %w", r.Name, err)
	}
	if err := c.tar.Close(); err != nil {
		return nil, err
	}
	c.out.SHA256 = hex.EncodeToString(h.Sum(nil))
	slices.Sort(c.out.Removed)
	return c.out, nil
}

type committer struct {
	host *comparison
	out  *Commit
	tar  *tar.Writer
	// names are those of files that have several, by device and inode.
	names map[[2]uint64]string
	left  map[string]bool // directories that were told of
	// opaque is the directory that the walk is in and none of whose old content
	// is seen, "" for none.
	opaque string
}

func (c *committer) leave(name, why string) { c.out.Left = append(c.out.Left, Left{name, why}) }

// entry puts one file of the layer into the archive.
func (c *committer) entry(e *upper.Entry) error {
	name := e.Path()
	if i := slices.IndexFunc(notInImages, func(dir string) bool { return within(name, dir) }); i >= 0 {
		if dir := notInImages[i]; !c.left[dir] && !e.IsDir() {
			c.left[dir] = true
			c.leave(dir, "what is in it is the machine's and its people's")
		}
		return nil
	}
	if slices.Contains(accounts, name) || Ours[name] || isOwn(name) && !within(name, "/usr/share/mime/packages") && !within("/usr/share/mime/packages", name) {
		return nil
	}
	if e.Whiteout() {
		return c.gone(name)
	}
	switch e.Stat.Mode & unix.S_IFMT {
	case unix.S_IFREG, unix.S_IFLNK, unix.S_IFIFO:
		// What was opened for writing and left as it was is the machine's.
		if _, differs, err := c.host.entry(e); err != nil || !differs {
			return err
		}
	case unix.S_IFDIR:
		if c.opaque == "" || !within(name, c.opaque) {
			c.opaque = ""
			if isOpaque(e) {
				c.opaque = name
			}
		}
		if c.opaque != "" {
			if err := c.replaced(e, name); err != nil {
				return err
			}
		}
	default:
		return fmt.Errorf("%s is a socket or a device: %w", name, ErrNotCommittable)
	}
	return c.add(e, name)
}

// gone notes that a file of the machine is removed.
func (c *committer) gone(name string) error {
	_, f, err := c.host.below(name)
	if err != nil {
		return nil // the machine has it no more
	}
	f.Close()
	in := func(dir string) bool { return within(name, dir) }
	switch {
	case !slices.ContainsFunc(removable, in) || slices.ContainsFunc(notSeen, in):
		c.leave(name, "an image over the machine cannot remove files there")
	case !printable(name):
		c.leave(name, "a recipe cannot name it")
	default:
		c.out.Removed = append(c.out.Removed, name)
	}
	return nil
}

// replaced notes as gone what the machine has in a directory and the layer,
// where it shows nothing of it, has not.
func (c *committer) replaced(e *upper.Entry, name string) error {
	_, f, err := c.host.below(name)
	if err != nil {
		return nil
	}
	defer f.Close()
	theirs, err := upper.List(f)
	if errors.Is(err, unix.ENOTDIR) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, n := range theirs {
		var st unix.Stat_t
		err := unix.Fstatat(int(e.Parent.Fd()), path.Join(e.Base(), n), &st, unix.AT_SYMLINK_NOFOLLOW)
		if errors.Is(err, unix.ENOENT) {
			err = c.gone(path.Join(name, n))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// add writes one file to the archive.
func (c *committer) add(e *upper.Entry, name string) error {
	st := &e.Stat
	h := &tar.Header{Format: tar.FormatPAX, Name: strings.TrimPrefix(name, "/"), Mode: int64(st.Mode & 0o7777), Uid: int(st.Uid), Gid: int(st.Gid), ModTime: time.Unix(max(st.Mtim.Sec, 0), 0)}
	mine := node{mode: st.Mode}
	if mine.attributed() {
		all, err := attributesAt(int(e.Parent.Fd()), e.Base(), 0)
		if err != nil {
			return err
		}
		for k, v := range all {
			if k != pkg.CapabilityAttribute && !strings.HasPrefix(k, "user.") {
				c.leave(name, "its attribute "+k)
				continue
			}
			if h.PAXRecords == nil {
				h.PAXRecords = map[string]string{}
			}
			h.PAXRecords["SCHILY.xattr."+k] = v
		}
	}
	switch mine.kind() {
	case unix.S_IFDIR:
		h.Typeflag, h.Name = tar.TypeDir, h.Name+"/"
		return c.tar.WriteHeader(h)
	case unix.S_IFIFO:
		h.Typeflag = tar.TypeFifo
	case unix.S_IFLNK:
		var err error
		h.Typeflag = tar.TypeSymlink
		if h.Linkname, err = readlink(int(e.Parent.Fd()), e.Base()); err != nil {
			return err
		}
	case unix.S_IFREG:
		return c.file(e, h)
	}
	c.out.Files++
	return c.tar.WriteHeader(h)
}

func (c *committer) file(e *upper.Entry, h *tar.Header) error {
	c.out.Files++
	h.Typeflag = tar.TypeReg
	id := [2]uint64{e.Stat.Dev, e.Stat.Ino}
	if first, ok := c.names[id]; ok && e.Stat.Nlink > 1 {
		h.Typeflag, h.Linkname, h.PAXRecords = tar.TypeLink, first, nil
		return c.tar.WriteHeader(h)
	}
	c.names[id] = h.Name
	f, err := openAt(int(e.Parent.Fd()), e.Base())
	if err != nil {
		return err
	}
	defer f.Close()
	h.Size = e.Stat.Size
	if err := c.tar.WriteHeader(h); err != nil {
		return err
	}
	// What is missing or left over is an error of the writer's.
	_, err = io.Copy(c.tar, f)
	return err
}

func within(name, dir string) bool { return name == dir || strings.HasPrefix(name, dir+"/") }

// printable reports whether a recipe can name a path.
func printable(name string) bool {
	return fs.ValidPath(strings.TrimPrefix(name, "/")) && !strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == 0x7f })
}
