package kernel

import "golang.org/x/sys/unix"

const inRoot = unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS

// OpenHost opens a name of the host as O_PATH. Links are followed, but not the
// magic ones of /proc, which could lead to files that have no name here.
func OpenHost(path string) (FD, error) {
	how := unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: unix.RESOLVE_NO_MAGICLINKS}
	fd, err := unix.Openat2(unix.AT_FDCWD, path, &how)
	if err != nil {
		return None, fail("open", path, "", err)
	}
	return FD(fd), nil
}

// OpenIn opens path with root as "/": links, "..", and absolute link targets
// stay inside, whatever the root's owner wrote there (openat2(2)). The result
// is an O_PATH descriptor unless flags say otherwise.
func OpenIn(root FD, path string, flags int) (FD, error) {
	how := unix.OpenHow{Flags: uint64(flags | unix.O_CLOEXEC), Resolve: inRoot}
	var fd int
	err := retry(func() (e error) { fd, e = unix.Openat2(int(root), path, &how); return })
	if err == unix.EAGAIN {
		// A rename raced with "..": openat2(2) says to try again.
		err = retry(func() (e error) { fd, e = unix.Openat2(int(root), path, &how); return })
	}
	if err != nil {
		return None, fail("open in the session's root", path, "", err)
	}
	return FD(fd), nil
}

// Mkdir makes name in dir and sets owner and mode exactly (no umask), of what it
// made and nothing else: a link that took its place meanwhile is not followed.
func Mkdir(dir FD, name string, mode, uid, gid uint32) error {
	err := unix.Mkdirat(int(dir), name, mode&0o777)
	if err == unix.EEXIST {
		return nil
	}
	if err != nil {
		return fail("make directory", name, "", err)
	}
	chown, chmod := uid != 0 || gid != 0, mode&^0o755 != 0
	if !chown && !chmod {
		return nil
	}
	raw, err := unix.Openat(int(dir), name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return fail("open the new directory", name, "", err)
	}
	fd := FD(raw)
	defer fd.Close()
	if chown {
		if err := unix.Fchown(raw, int(uid), int(gid)); err != nil {
			return fail("set the owner of", name, "", err)
		}
	}
	if chmod {
		if err := unix.Fchmod(raw, mode); err != nil {
			return fail("set the mode of", name, "", err)
		}
	}
	return nil
}

// Owner returns the uid that the open file belongs to.
func Owner(fd FD) (uint32, error) {
	var st unix.Stat_t
	if err := unix.Fstat(int(fd), &st); err != nil {
		return 0, fail("stat", fd.Proc(), "", err)
	}
	return st.Uid, nil
}

// OpenBelow opens path below dir as O_PATH. Links are followed as long as they
// stay below dir, and none of them is absolute (RESOLVE_BENEATH of openat2(2)).
func OpenBelow(dir FD, path string) (FD, error) {
	how := unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_MAGICLINKS}
	var fd int
	err := retry(func() (e error) { fd, e = unix.Openat2(int(dir), path, &how); return })
	if err != nil {
		return None, fail("open below "+dir.Proc(), path, "", err)
	}
	return FD(fd), nil
}

// Symlink makes name in dir a link with text, in place of a file, link or
// empty directory.
func Symlink(text string, dir FD, name string) error {
	err := unix.Symlinkat(text, int(dir), name)
	if err == unix.EEXIST {
		if err = remove(dir, name); err == nil {
			err = unix.Symlinkat(text, int(dir), name)
		}
	}
	return fail("make link", name, "", err)
}

func remove(dir FD, name string) error {
	err := unix.Unlinkat(int(dir), name, 0)
	if err == unix.EISDIR {
		err = unix.Unlinkat(int(dir), name, unix.AT_REMOVEDIR)
	}
	return err
}

// WriteFile makes name in dir a new file with content, in place of what was
// there, which is never written through: a link is replaced, not followed.
func WriteFile(dir FD, name string, content []byte, mode, uid, gid uint32) error {
	if err := remove(dir, name); err != nil && err != unix.ENOENT {
		return fail("replace", name, "", err)
	}
	raw, err := unix.Openat(int(dir), name, unix.O_CREAT|unix.O_EXCL|unix.O_WRONLY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return fail("create", name, "", err)
	}
	fd := FD(raw)
	defer fd.Close()
	for len(content) > 0 {
		n, err := unix.Write(raw, content)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return fail("write", name, "", err)
		}
		content = content[n:]
	}
	if uid != 0 || gid != 0 {
		if err := unix.Fchown(raw, int(uid), int(gid)); err != nil {
			return fail("set the owner of", name, "", err)
		}
	}
	return fail("set the mode of", name, "", unix.Fchmod(raw, mode))
}

// IsDir reports whether the open file is a directory.
func IsDir(fd FD) (bool, error) {
	var st unix.Stat_t
	if err := unix.Fstat(int(fd), &st); err != nil {
		return false, fail("stat", fd.Proc(), "", err)
	}
	return st.Mode&unix.S_IFMT == unix.S_IFDIR, nil
}

// Reopen opens the file of an O_PATH descriptor for reading or writing,
// without looking its name up again.
func Reopen(fd FD, flags int) (FD, error) {
	raw, err := unix.Open(fd.Proc(), flags|unix.O_CLOEXEC, 0)
	if err != nil {
		return None, fail("open", fd.Proc(), "", err)
	}
	return FD(raw), nil
}
