package kernel

import (
	"strings"

	"golang.org/x/sys/unix"
)

// ParentLike makes in dir the directories above path that are there in like,
// with the modes and owners that they have there, and returns the last of them
// with the last part of path. No link is followed in like: ELOOP or ENOTDIR
// when one is in the way, ENOENT when path is not there. The descriptor is the
// caller's.
func ParentLike(like, dir FD, path string) (FD, string, error) {
	parent, name := splitLast("/" + strings.Trim(path, "/"))
	if name == "" {
		return None, "", fail("make the parents of", path, "", unix.EINVAL)
	}
	from, err := openNoLinks(like, ".")
	if err != nil {
		return None, "", err
	}
	defer func() { from.Close() }()
	to, err := openNoLinks(dir, ".")
	if err != nil {
		return None, "", err
	}
	down := func(part string) error {
		next, err := openNoLinks(from, part)
		if err != nil {
			return err
		}
		from.Close()
		from = next
		var st unix.Stat_t
		if err := unix.Fstat(int(from), &st); err != nil {
			return fail("stat", part, "", err)
		}
		if err := Mkdir(to, part, st.Mode&0o7777, st.Uid, st.Gid); err != nil {
			return err
		}
		made, err := openNoLinks(to, part)
		if err != nil {
			return err
		}
		to.Close()
		to = made
		return nil
	}
	for part := range strings.SplitSeq(strings.Trim(parent, "/"), "/") {
		if part == "" {
			continue
		}
		if err := down(part); err != nil {
			to.Close()
			return None, "", err
		}
	}
	var st unix.Stat_t
	if err := unix.Fstatat(int(from), name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		to.Close()
		return None, "", fail("stat", path, "", err)
	}
	return to, name, nil
}

// openNoLinks opens a directory below dir without following any link.
func openNoLinks(dir FD, path string) (FD, error) {
	how := unix.OpenHow{Flags: unix.O_PATH | unix.O_DIRECTORY | unix.O_CLOEXEC, Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS}
	var fd int
	if err := retry(func() (e error) { fd, e = unix.Openat2(int(dir), path, &how); return }); err != nil {
		return None, fail("open the directory", path, "", err)
	}
	return FD(fd), nil
}
