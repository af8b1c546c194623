// Package program finds programs of the host that nobody but root can have had
// a hand in: every directory on the way, every link, the file and what
// interprets it belong to root and are writable by root alone. The path that
// comes out is the one to decide on and to execute, for only root can make it
// mean something else in between.
package program

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// The errors a caller tells apart.
var (
	// ErrNotFound says that there is no such program on the host.
	ErrNotFound = errors.New("not found on the host")
	// ErrNotRoots says that somebody else than root can change what would run.
	ErrNotRoots = errors.New("not root's alone")
	// ErrNotExecutable says that it is there and cannot be executed.
	ErrNotExecutable = errors.New("cannot be executed")
)

// searched are the directories of the host's programs, as login(1) has them
// for root.
var searched = []string{"/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"}

const (
	maxLinks        = 40 // as the kernel, path_resolution(7)
	maxInterpreters = 5  // as the kernel, execve(2)
	maxName         = 4096
)

// Program is a program of the host.
type Program struct {
	// Path is absolute, and every link among its directories is resolved. A
	// link in its last element is kept: some programs go by their name.
	Path string
	// File is the file that Path leads to, resolved likewise; the same as Path
	// where it is no link.
	File string
	// Name is how it was called, without directories.
	Name string

	needs []need
}

// need is what somebody needs to execute it: to search a directory or to
// execute a file.
type need struct {
	path string
	gid  uint32
	mode uint32
}

// SearchPath is the PATH that commands get: of the usual directories those that
// only root can put programs into. What a script looks up through env(1) is
// then root's, too.
func SearchPath() string {
	var out, seen []string
	for _, dir := range searched {
		w := walker{}
		real, st, err := w.walk(dir)
		if err == nil && st.Mode&unix.S_IFMT == unix.S_IFDIR && !slices.Contains(seen, real) {
			out, seen = append(out, dir), append(seen, real)
		}
	}
	return strings.Join(out, ":")
}

// Find resolves a name as a shell does: one without a slash is looked for in
// SearchPath. Another has to be absolute, since the caller's directory means
// nothing on the host.
func Find(name string) (*Program, error) {
	if name == "" || len(name) > maxName || strings.IndexByte(name, 0) >= 0 {
		return nil, fmt.Errorf("%q: %w", cut(name), ErrNotFound)
	}
	if !strings.Contains(name, "/") {
		for dir := range strings.SplitSeq(SearchPath(), ":") {
			p, err := resolve(path.Join(dir, name), 0)
			if errors.Is(err, ErrNotFound) {
				continue
			}
			return p, err
		}
		return nil, fmt.Errorf("%s: %w", name, ErrNotFound)
	}
	if name[0] != '/' {
		return nil, fmt.Errorf("%s: %w: name it by its absolute path on the host", cut(name), ErrNotFound)
	}
	return resolve(name, 0)
}

// Fixed reports whether nobody but root can change what a path leads to, up to
// the directory or file itself.
func Fixed(name string) bool {
	w := walker{}
	_, _, err := w.walk(name)
	return err == nil
}

func resolve(name string, depth int) (*Program, error) {
	if depth > maxInterpreters {
		return nil, fmt.Errorf("%s: %w: too many interpreters", name, ErrNotExecutable)
	}
	w := walker{}
	file, st, err := w.walk(name)
	if err != nil {
		return nil, err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		what := "not a file"
		if st.Mode&unix.S_IFMT == unix.S_IFDIR {
			what = "a directory"
		}
		return nil, fmt.Errorf("%s: %w: it is %s", name, ErrNotExecutable, what)
	}
	if st.Mode&0o111 == 0 {
		return nil, fmt.Errorf("%s: %w: no one has the permission to", name, ErrNotExecutable)
	}
	d := walker{}
	dir, _, err := d.walk(path.Dir(path.Clean(name)))
	if err != nil {
		return nil, err
	}
	p := &Program{Path: path.Join(dir, path.Base(name)), File: file, Name: path.Base(name), needs: w.needs}
	interpreter, err := interpreterOf(file)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if interpreter != "" {
		i, err := resolve(interpreter, depth+1)
		if err != nil {
			return nil, fmt.Errorf("%s: its interpreter: %w", name, err)
		}
		p.needs = append(p.needs, i.needs...)
	}
	return p, nil
}

// May reports whether a user can execute p, as far as the permission bits of
// its files and directories say; all of them are root's. Access control lists
// are left to the kernel.
func (p *Program) May(uid uint32, groups []uint32) error {
	if uid == 0 {
		return nil
	}
	for _, n := range p.needs {
		bit := uint32(0o001)
		if slices.Contains(groups, n.gid) {
			bit = 0o010
		}
		if n.mode&bit == 0 && !hasACL(n.path) {
			return fmt.Errorf("%s: %w: %s is closed to that user", p.Path, ErrNotExecutable, n.path)
		}
	}
	return nil
}

// Closed reports whether name leads through a directory that a user may not
// search, as far as permission bits say: what is behind is not theirs to know.
func Closed(name string, uid uint32, groups []uint32) bool {
	w := walker{}
	_, _, err := w.walk(name)
	through := w.needs
	if err == nil {
		through = through[:len(through)-1] // the last is what is there
	}
	return (&Program{needs: through}).May(uid, groups) != nil
}

func hasACL(name string) bool {
	n, err := unix.Getxattr(name, "system.posix_acl_access", nil)
	return err == nil && n > 0
}

// walker resolves one path from the root, a component at a time, and never
// through a name that it has not looked at.
type walker struct {
	links int
	needs []need
}

// walk returns the path that name leads to, and what is there.
func (w *walker) walk(name string) (string, unix.Stat_t, error) {
	var st unix.Stat_t
	root, err := unix.Open("/", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", st, fmt.Errorf("open /: %w", err)
	}
	// The directories from the root to where we are, and their names.
	open, names := []int{root}, []string{}
	defer func() {
		for _, fd := range open {
			unix.Close(fd)
		}
	}()
	if err := w.look(root, "/", &st); err != nil {
		return "", st, err
	}
	rest := strings.Split(name, "/")
	for len(rest) > 0 {
		element := rest[0]
		rest = rest[1:]
		switch element {
		case "", ".":
			continue
		case "..":
			if n := len(names); n > 0 {
				unix.Close(open[n])
				open, names = open[:n], names[:n-1]
			}
			continue
		}
		here := "/" + strings.Join(append(slices.Clone(names), element), "/")
		fd, err := unix.Openat(open[len(open)-1], element, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ENAMETOOLONG) {
			return "", st, fmt.Errorf("%s: %w", cut(name), ErrNotFound)
		}
		if err != nil {
			return "", st, fmt.Errorf("open %s: %w", here, err)
		}
		if err := w.look(fd, here, &st); err != nil {
			unix.Close(fd)
			return "", st, err
		}
		if st.Mode&unix.S_IFMT == unix.S_IFLNK {
			text, err := readLink(fd)
			unix.Close(fd)
			if w.links++; err != nil || w.links > maxLinks {
				return "", st, fmt.Errorf("%s: %w: its links lead nowhere", cut(name), ErrNotFound)
			}
			if strings.HasPrefix(text, "/") {
				for _, fd := range open[1:] {
					unix.Close(fd)
				}
				open, names = open[:1], names[:0]
			}
			rest = append(strings.Split(text, "/"), rest...)
			continue
		}
		open, names = append(open, fd), append(names, element)
	}
	if err := unix.Fstat(open[len(open)-1], &st); err != nil {
		return "", st, fmt.Errorf("%s: %w", cut(name), err)
	}
	return "/" + strings.Join(names, "/"), st, nil
}

// look checks whose one component is.
func (w *walker) look(fd int, name string, st *unix.Stat_t) error {
	if err := unix.Fstat(fd, st); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if st.Uid != 0 {
		return fmt.Errorf("%s is %w: it belongs to uid %d", name, ErrNotRoots, st.Uid)
	}
	if st.Mode&unix.S_IFMT == unix.S_IFLNK {
		return nil // whoever can write the directory can change it, nobody else
	}
	if st.Mode&0o022 != 0 {
		return fmt.Errorf("%s is %w: others may write it (mode %04o)", name, ErrNotRoots, st.Mode&0o7777)
	}
	w.needs = append(w.needs, need{name, st.Gid, st.Mode})
	return nil
}

func readLink(fd int) (string, error) {
	b := make([]byte, maxName)
	n, err := unix.Readlinkat(fd, "", b)
	if err != nil {
		return "", err
	}
	return string(b[:n]), nil
}

// cut bounds a name for a message.
func cut(s string) string {
	if len(s) > 200 {
		return s[:200] + "..."
	}
	return s
}
