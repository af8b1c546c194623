package contexts

import (
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

	"ninefold/internal/record"
	"ninefold/namespaces/kernel"
	"ninefold/namespaces/upper"
)

// shadeDir is what a layer of a user's context has over the machine: empty
// directories and whiteouts in the place of what that user may not read. It keeps
// no secret, which the kernel does (plan.Layer.Reader): without it package managers
// would stumble over each of them.
const shadeDir = "shade"

// Shade is where a layer has its shade; "" when it has none.
func Shade(layer string) string {
	name := filepath.Join(layer, shadeDir)
	if _, err := os.Lstat(name); err != nil {
		return ""
	}
	return name
}

const (
	// maxShaded bounds what a shade holds.
	maxShaded = 1 << 16
	// maxSeen bounds the files that are looked at for it.
	maxSeen     = 10_000_000
	passwdFile  = "/etc/passwd"
	groupFile   = "/etc/group"
	maxAccounts = 16 << 20
)

// unshaded are directories that no package manager has to do with.
var unshaded = []string{"/proc", "/sys", "/dev", "/run", "/tmp", "/home", "/mnt", "/media", "/n", "/lost+found", "/var/tmp"}

// generated are files that a shade has with other content, made of a list of names.
var generated = map[string]struct{ from, rest string }{
	"/etc/shadow":  {passwdFile, ":*:::::::\n"},
	"/etc/gshadow": {groupFile, ":*::\n"},
}

// MakeShade makes the shade of a layer for the machine below root, in which root is
// refused what the layer's reader may not read. A layer that has one keeps it. It is
// called where the umask is 0 (kernel.Unshare).
func MakeShade(ctx context.Context, layer, root string) error {
	if Shade(layer) != "" {
		return nil
	}
	making := filepath.Join(layer, shadeDir+record.Aside)
	if err := errors.Join(os.RemoveAll(making), os.Mkdir(making, 0o700)); err != nil {
		return err
	}
	at, err := os.OpenFile(root, unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		return err
	}
	defer at.Close()
	into, err := os.OpenFile(making, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	defer into.Close()
	s := &shader{ctx: ctx, root: at, into: into, seen: maxSeen, left: maxShaded}
	var st unix.Stat_t
	if err := unix.Fstat(int(at.Fd()), &st); err != nil {
		return err
	}
	if err = s.walk(at, "/", 0); err == nil {
		err = errors.Join(os.Chown(making, int(st.Uid), int(st.Gid)), unix.Chmod(making, st.Mode&0o7777))
	}
	if err == nil {
		err = os.Rename(making, filepath.Join(layer, shadeDir))
	}
	if err != nil {
		return errors.Join(fmt.Errorf("find what the user may not read: %w", err), os.RemoveAll(making))
	}
	return nil
}

type shader struct {
	ctx        context.Context
	root, into *os.File
	seen, left int
}

func (s *shader) walk(dir *os.File, at string, depth int) error {
	if err := s.ctx.Err(); err != nil || depth > 200 {
		return err
	}
	names, err := upper.List(dir)
	if errors.Is(err, fs.ErrPermission) {
		return nil // it can be passed, and not be listed: so it is in the context
	}
	if err != nil {
		return err
	}
	for _, n := range names {
		name := path.Join(at, n)
		if s.seen--; s.seen < 0 {
			return upper.ErrTooMany
		}
		var st unix.Stat_t
		if slices.Contains(unshaded, name) || unix.Fstatat(int(dir.Fd()), n, &st, unix.AT_SYMLINK_NOFOLLOW) != nil {
			continue
		}
		switch st.Mode & unix.S_IFMT {
		case unix.S_IFREG:
			// Nearly everything may be read by everybody, who would be asked about for each.
			if st.Mode&0o004 == 0 && denied(dir, n, unix.R_OK) {
				if err := s.file(name, st); err != nil {
					return err
				}
			}
		case unix.S_IFDIR:
			if st.Mode&0o001 == 0 && denied(dir, n, unix.X_OK) {
				if err := s.directory(name, st); err != nil {
					return err
				}
				continue
			}
			sub, err := upper.OpenDir(dir, n)
			if err != nil {
				continue // as above, or gone
			}
			err = s.walk(sub, name, depth+1)
			sub.Close()
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// denied asks the kernel, which asks on behalf of the reader.
func denied(dir *os.File, name string, mode uint32) bool {
	return errors.Is(unix.Faccessat(int(dir.Fd()), name, mode, 0), unix.EACCES)
}

// place makes the directories above name, and returns the last one.
func (s *shader) place(name string) (kernel.FD, string, error) {
	if s.left--; s.left < 0 {
		return kernel.None, "", upper.ErrTooMany
	}
	return kernel.ParentLike(kernel.FD(s.root.Fd()), kernel.FD(s.into.Fd()), name)
}

// file hides a file, or puts one of the same owner and mode in its place.
func (s *shader) file(name string, st unix.Stat_t) error {
	dir, base, err := s.place(name)
	if err != nil {
		return err
	}
	defer dir.Close()
	like, ok := generated[name]
	if !ok {
		return kernel.Mknod(dir, base, 0, 0, 0)
	}
	text, err := s.names(like.from, like.rest)
	if err != nil {
		return err
	}
	fd, err := unix.Openat(int(dir), base, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return err
	}
	f := os.NewFile(uintptr(fd), name)
	_, err = f.WriteString(text)
	return errors.Join(err, unix.Fchown(fd, int(st.Uid), int(st.Gid)), unix.Fchmod(fd, st.Mode&0o7777), f.Close())
}

// names makes a line of each name in one of the machine's lists of accounts: all of
// them are locked.
func (s *shader) names(list, rest string) (string, error) {
	f, err := openAt(int(s.root.Fd()), strings.TrimPrefix(list, "/"))
	if err != nil {
		return "", err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxAccounts))
	if err != nil {
		return "", err
	}
	var out strings.Builder
	for line := range strings.Lines(string(b)) {
		if name, _, ok := strings.Cut(line, ":"); ok && name != "" && name[0] != '#' {
			out.WriteString(name + rest)
		}
	}
	return out.String(), nil
}

// directory hides what is in a directory.
func (s *shader) directory(name string, st unix.Stat_t) error {
	dir, base, err := s.place(name)
	if err != nil {
		return err
	}
	defer dir.Close()
	if err := kernel.Mkdir(dir, base, st.Mode&0o7777, st.Uid, st.Gid); err != nil {
		return err
	}
	return os.NewSyscallError("setxattr "+opaque, unix.Lsetxattr(dir.Proc()+"/"+base, opaque, []byte("y"), 0))
}
