package kernel

import (
	"strings"

	"golang.org/x/sys/unix"
)

// Attr are the attributes of a mount, MOUNT_ATTR_* of mount_setattr(2).
type Attr uint64

// The attributes used here.
const (
	ReadOnly Attr = unix.MOUNT_ATTR_RDONLY
	NoSuid   Attr = unix.MOUNT_ATTR_NOSUID
	NoDev    Attr = unix.MOUNT_ATTR_NODEV
	NoExec   Attr = unix.MOUNT_ATTR_NOEXEC
)

func (a Attr) String() string { return decode(uint64(a), mountAttrNames) }

// Option is one parameter of a new file system: a flag (Value empty and FD
// None), a string, or a descriptor.
type Option struct {
	Name, Value string
	FD          FD
}

// Flag, Text and File make Options.
func Flag(name string) Option        { return Option{Name: name, FD: None} }
func Text(name, value string) Option { return Option{Name: name, Value: value, FD: None} }
func File(name string, fd FD) Option { return Option{Name: name, FD: fd} }

// NewMount makes a file system instance and returns it as a detached mount
// (fsopen(2), fsconfig(2), fsmount(2)). It is visible nowhere until it is
// attached and vanishes when the descriptor is closed before that.
func NewMount(fstype string, attr Attr, options ...Option) (FD, error) {
	raw, err := unix.Fsopen(fstype, unix.FSOPEN_CLOEXEC)
	if err != nil {
		return None, fail("mount "+fstype, "", "", err)
	}
	fs := FD(raw)
	defer fs.Close()
	for _, o := range options {
		switch {
		case o.FD != None:
			err = unix.FsconfigSetFd(raw, o.Name, int(o.FD))
		case o.Value == "":
			err = unix.FsconfigSetFlag(raw, o.Name)
		default:
			err = unix.FsconfigSetString(raw, o.Name, o.Value)
		}
		if err != nil {
			return None, &Error{Op: "mount " + fstype + ": option " + o.Name, Path: o.Value, Err: err, Hint: mountHint(fstype, err, logOf(fs))}
		}
	}
	if err := retry(func() error { return unix.FsconfigCreate(raw) }); err != nil {
		said := logOf(fs)
		e := &Error{Op: "mount " + fstype, Err: err, Hint: mountHint(fstype, err, said)}
		if said != "" {
			e.Op += ": " + said
		}
		return None, e
	}
	mnt, err := unix.Fsmount(raw, unix.FSMOUNT_CLOEXEC, int(attr))
	if err != nil {
		return None, fail("mount "+fstype, "", attr.String(), err)
	}
	return FD(mnt), nil
}

// logOf reads what the kernel has to say about a failed fsconfig (the
// descriptor of fsopen returns messages: "e overlay: ...").
func logOf(fs FD) string {
	var lines []string
	buf := make([]byte, 512)
	for range 8 {
		n, err := unix.Read(int(fs), buf)
		if err != nil || n <= 0 {
			break
		}
		line := strings.TrimSpace(string(buf[:n]))
		if len(line) > 2 && line[1] == ' ' {
			line = line[2:]
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "; ")
}

func mountHint(fstype string, err error, said string) string {
	switch {
	case err == unix.ENODEV:
		return "this kernel has no " + fstype + " file system (modprobe " + fstype + ")"
	case fstype == "overlay" && err == unix.ELOOP:
		return "a layer lies inside another layer, or overlays are stacked more than two deep: keep --state on a disk file system outside the layers"
	case fstype == "overlay" && strings.Contains(said, "limit is"):
		return "too many layers: compose them into one image"
	case fstype == "overlay" && err == unix.EINVAL:
		return "the kernel refused a layer: the writable layer must not lie on overlay, FUSE or a network file system (sessionctl doctor says what works)"
	case fstype == "ext4" && (err == unix.EUCLEAN || err == unix.EINVAL || err == unix.EBADMSG):
		return "the file system in the file is damaged: e2fsck -f on the file may repair it"
	case fstype == "erofs" && err == unix.ENOTBLK:
		return "this kernel cannot mount erofs from a file (6.12 can); the loop driver does it"
	}
	return ""
}

// OpenTree returns a detached copy of the mount at fd, with what is mounted
// below it when recursive (open_tree(2)).
func OpenTree(fd FD, recursive bool) (FD, error) {
	flags := uint(unix.OPEN_TREE_CLONE | unix.OPEN_TREE_CLOEXEC | unix.AT_EMPTY_PATH | unix.AT_NO_AUTOMOUNT)
	if recursive {
		flags |= unix.AT_RECURSIVE
	}
	mnt, err := unix.OpenTree(int(fd), "", flags)
	if err != nil {
		return None, fail("copy the mount of", fd.Proc(), "", err)
	}
	return FD(mnt), nil
}

// SetAttr sets attributes on a mount, on all below it when recursive. Unlike
// mount(2) with MS_BIND|MS_RDONLY, which leaves the bind writable, it takes
// effect at once.
func SetAttr(mnt FD, set Attr, recursive bool) error {
	return setattr(mnt, &unix.MountAttr{Attr_set: uint64(set)}, recursive, set.String())
}

// Forbidden are the attributes nosuid, nodev and noexec that the mount which fd
// lies on has (statfs(2)).
func Forbidden(fd FD) (a Attr, err error) {
	var st unix.Statfs_t
	if err := retry(func() error { return unix.Fstatfs(int(fd), &st) }); err != nil {
		return 0, fail("ask for the mount flags of", fd.Proc(), "", err)
	}
	for _, f := range []struct {
		bit  int64
		attr Attr
	}{{unix.ST_NOSUID, NoSuid}, {unix.ST_NODEV, NoDev}, {unix.ST_NOEXEC, NoExec}} {
		if int64(st.Flags)&f.bit != 0 {
			a |= f.attr
		}
	}
	return a, nil
}

// Private cuts a mount, and all below it when recursive, off from propagation.
func Private(mnt FD, recursive bool) error {
	return setattr(mnt, &unix.MountAttr{Propagation: unix.MS_PRIVATE}, recursive, "private")
}

func setattr(mnt FD, a *unix.MountAttr, recursive bool, what string) error {
	flags := uint(unix.AT_EMPTY_PATH)
	if recursive {
		flags |= unix.AT_RECURSIVE
	}
	return fail("set mount attributes of", mnt.Proc(), what, unix.MountSetattr(int(mnt), "", flags, a))
}

// Attach moves a detached mount onto the open file or directory at.
func Attach(mnt, at FD, name string) error {
	err := unix.MoveMount(int(mnt), "", int(at), "", unix.MOVE_MOUNT_F_EMPTY_PATH|unix.MOVE_MOUNT_T_EMPTY_PATH)
	return fail("attach a mount at", name, "", err)
}

// Detach takes the topmost mount at fd off, and lets it live while it is in use.
func Detach(fd FD, name string) error {
	return fail("unmount", name, "", unix.Unmount(fd.Proc(), unix.MNT_DETACH))
}

// MountID returns the unique id of the mount that fd lies on and the inode
// number, together the place of a file (statx(2); the id is unique since 6.8,
// before that it may be used again after the mount is gone).
func MountID(fd FD) (mount, inode uint64, err error) {
	const mask = unix.STATX_MNT_ID | unix.STATX_INO
	var st unix.Statx_t
	if err := unix.Statx(int(fd), "", unix.AT_EMPTY_PATH|unix.AT_SYMLINK_NOFOLLOW, mask, &st); err != nil {
		return 0, 0, fail("stat", fd.Proc(), "", err)
	}
	return st.Mnt_id, st.Ino, nil
}

// CanWrite tries to make a nameless file in the open directory, or for any
// other file asks the file system, and reports whether writing is possible.
// It leaves nothing behind: an O_TMPFILE file is gone when closed.
func CanWrite(fd FD) bool {
	tmp, err := unix.Openat(int(fd), ".", unix.O_TMPFILE|unix.O_WRONLY|unix.O_CLOEXEC, 0o600)
	if err == nil {
		unix.Close(tmp)
		return true
	}
	if err == unix.EROFS {
		return false
	}
	var st unix.Statfs_t
	if unix.Fstatfs(int(fd), &st) != nil {
		return true
	}
	return st.Flags&unix.ST_RDONLY == 0
}

// Mknod makes a character device in dir with exact mode.
func Mknod(dir FD, name string, mode uint32, major, minor uint32) error {
	err := unix.Mknodat(int(dir), name, unix.S_IFCHR|mode, int(unix.Mkdev(major, minor)))
	return fail("make device", name, "", err)
}
