package kernel

import (
	"errors"
	"strings"

	"golang.org/x/sys/unix"
)

// maxLinks is how many symbolic links one name may lead through, as in path_resolution(7).
const maxLinks = 40

// OpenTargetIn opens path below root as O_PATH. A symbolic link on the way is
// followed inside root, and only if root (uid 0) owns it: the session's user
// may own directories on that way, and must not choose what a mount hides.
// flags may add O_DIRECTORY.
func OpenTargetIn(root FD, path string, flags int) (FD, error) {
	how := unix.OpenHow{
		Flags:   uint64(unix.O_PATH | unix.O_CLOEXEC | flags),
		Resolve: inRoot | unix.RESOLVE_NO_SYMLINKS,
	}
	var fd int
	err := retry(func() (e error) { fd, e = unix.Openat2(int(root), path, &how); return })
	if err == unix.ELOOP {
		return walkIn(root, path, flags)
	}
	if err != nil {
		return None, fail("open in the session's root", path, "", err)
	}
	return FD(fd), nil
}

// walkIn resolves path one name at a time, so that each link is looked at
// before it is followed. Every descriptor on the way is held, which makes ".."
// mean the directory that was really passed.
func walkIn(root FD, path string, flags int) (FD, error) {
	var trail []FD
	defer func() {
		for i := range trail {
			trail[i].Close()
		}
	}()
	at := func() FD {
		if len(trail) == 0 {
			return root
		}
		return trail[len(trail)-1]
	}
	left := strings.Split(path, "/")
	links := 0
	for len(left) > 0 {
		name := left[0]
		left = left[1:]
		switch name {
		case "", ".":
			continue
		case "..":
			if n := len(trail); n > 0 {
				trail[n-1].Close()
				trail = trail[:n-1]
			}
			continue
		}
		var st unix.Stat_t
		if err := unix.Fstatat(int(at()), name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
			return None, fail("open in the session's root", path, "", err)
		}
		if st.Mode&unix.S_IFMT == unix.S_IFLNK {
			if links++; links > maxLinks {
				return None, fail("open in the session's root", path, "", unix.ELOOP)
			}
			text, err := rootLink(at(), name)
			if err != nil {
				return None, &Error{Op: "follow link " + name + " on the way to", Path: path, Err: err,
					Hint: "only root's links may lead to a mount point"}
			}
			if strings.HasPrefix(text, "/") {
				for i := range trail {
					trail[i].Close()
				}
				trail = nil
			}
			left = append(strings.Split(text, "/"), left...)
			continue
		}
		how := unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC | unix.O_NOFOLLOW, Resolve: unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS}
		fd, err := unix.Openat2(int(at()), name, &how)
		if err != nil {
			return None, fail("open in the session's root", path, "", err)
		}
		trail = append(trail, FD(fd))
	}
	// A descriptor of its own: the trail is closed.
	how := unix.OpenHow{Flags: uint64(unix.O_PATH | unix.O_CLOEXEC | flags), Resolve: unix.RESOLVE_NO_SYMLINKS}
	fd, err := reopenPath(at(), &how)
	if err != nil {
		return None, fail("open in the session's root", path, "", err)
	}
	return FD(fd), nil
}

// rootLink reads the symbolic link called name in dir, if root owns it. Who owns
// it and what it says are asked of one descriptor: a name could be exchanged in
// between by whom the directory belongs to.
func rootLink(dir FD, name string) (string, error) {
	raw, err := unix.Openat(int(dir), name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", err
	}
	link := FD(raw)
	defer link.Close()
	var st unix.Stat_t
	if err := unix.Fstat(raw, &st); err != nil {
		return "", err
	}
	if st.Uid != 0 {
		return "", unix.EPERM
	}
	text := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(raw, "", text)
	if err != nil {
		return "", err
	}
	return string(text[:n]), nil
}

// reopenPath duplicates an O_PATH descriptor, as a directory where asked.
func reopenPath(fd FD, how *unix.OpenHow) (int, error) {
	if how.Flags&unix.O_DIRECTORY != 0 {
		return unix.Openat2(int(fd), ".", how)
	}
	return unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 3)
}

// MkdirAllIn makes path and its missing parents below root with mode and
// returns it opened, reached as OpenTargetIn reaches it. Existing directories
// are left as they are.
func MkdirAllIn(root FD, path string, mode uint32) (FD, error) {
	if fd, err := OpenTargetIn(root, path, unix.O_DIRECTORY); err == nil {
		return fd, nil
	} else if !errors.Is(err, unix.ENOENT) {
		return None, err
	}
	parent, name := splitLast(path)
	if name == "" {
		return None, fail("make directory", path, "", unix.EINVAL)
	}
	dir, err := MkdirAllIn(root, parent, 0o755)
	if err != nil {
		return None, err
	}
	defer dir.Close()
	if err := unix.Mkdirat(int(dir), name, mode); err != nil && err != unix.EEXIST {
		return None, fail("make directory", path, "", err)
	}
	return OpenTargetIn(root, path, unix.O_DIRECTORY)
}

// ParentIn opens the parent directory of path below root, made if missing,
// and returns it with the last component.
func ParentIn(root FD, path string) (FD, string, error) {
	parent, name := splitLast(path)
	if name == "" {
		return None, "", fail("open the parent of", path, "", unix.EINVAL)
	}
	dir, err := MkdirAllIn(root, parent, 0o755)
	return dir, name, err
}

func splitLast(path string) (parent, name string) {
	path = strings.TrimRight(path, "/")
	i := strings.LastIndexByte(path, '/')
	if i <= 0 {
		return "/", path[i+1:]
	}
	return path[:i], path[i+1:]
}

// TouchIn makes sure that a file exists at path below root, as a place to
// attach a mount on. An empty file is made where there is none.
func TouchIn(root FD, path string) (FD, error) {
	if fd, err := OpenTargetIn(root, path, 0); err == nil {
		return fd, nil
	} else if !errors.Is(err, unix.ENOENT) {
		return None, err
	}
	dir, name, err := ParentIn(root, path)
	if err != nil {
		return None, err
	}
	defer dir.Close()
	raw, err := unix.Openat(int(dir), name, unix.O_CREAT|unix.O_EXCL|unix.O_WRONLY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o644)
	if err != nil {
		return None, fail("create", path, "", err)
	}
	unix.Close(raw)
	return OpenTargetIn(root, path, 0)
}
