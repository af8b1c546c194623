package kernel

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// RangeSize is how many ids a range has: all that a distribution uses.
const RangeSize = 65536

// RangeMap maps the ids 0 to 65535 of a user namespace to those from first on.
func RangeMap(first uint32) []syscall.SysProcIDMap {
	return []syscall.SysProcIDMap{{ContainerID: 0, HostID: int(first), Size: RangeSize}}
}

// UserNamespace makes a user namespace that maps a range of ids, and is of use
// for IDMapped alone: no process is in it. program is ninefold-init, which holds
// it while it is opened.
func UserNamespace(program string, first uint32) (FD, error) {
	return userNamespace(program, RangeMap(first), RangeMap(first))
}

// OwnerNamespace is UserNamespace for what belongs to one: what the uid and gid
// owner have on disk is that of uid and gid, and other ids stand for nobody.
func OwnerNamespace(program string, owner, uid, gid uint32) (FD, error) {
	only := func(id uint32) []syscall.SysProcIDMap {
		return []syscall.SysProcIDMap{{ContainerID: int(owner), HostID: int(id), Size: 1}}
	}
	return userNamespace(program, only(uid), only(gid))
}

func userNamespace(program string, uids, gids []syscall.SysProcIDMap) (FD, error) {
	r, w, err := Pipe()
	if err != nil {
		return None, err
	}
	defer w.Close()
	null := ^uintptr(0)
	pid, pidfd, err := Spawn(program, []string{"ninefold-init", "-H", "-l", "3", "-u", "0"}, []uintptr{null, null, null, uintptr(r)},
		&syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWUSER, UidMappings: uids, GidMappings: gids})
	r.Close()
	if err != nil {
		return None, fmt.Errorf("make a user namespace: %w", err)
	}
	defer pidfd.Close()
	name := "/proc/" + strconv.Itoa(pid) + "/ns/user"
	ns, err := unix.Open(name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	w.Close()
	if _, reaped := Reap(pid); err != nil || reaped != nil {
		return None, errors.Join(fail("open", name, "", err), reaped)
	}
	return FD(ns), nil
}

// ErrNoIDMap says that a file system cannot be mounted with mapped ids.
var ErrNoIDMap = errors.New("its file system cannot be mounted with mapped ids")

// IDMapped returns a detached copy of the mount at fd on which the ids of the
// user namespace ns stand for those on disk (mount_setattr(2), Linux 5.12): what
// uid 0 owns on disk belongs to the namespace's root, and what that root writes
// is uid 0's on disk.
func IDMapped(fd, ns FD) (FD, error) {
	mnt, err := OpenTree(fd, false)
	if err != nil {
		return None, err
	}
	if err := MapIDs(mnt, ns); err != nil {
		mnt.Close()
		return None, err
	}
	return mnt, nil
}

// MapIDs does that to a mount that is attached nowhere.
func MapIDs(mnt, ns FD) error {
	err := unix.MountSetattr(int(mnt), "", unix.AT_EMPTY_PATH, &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_IDMAP, Userns_fd: uint64(ns)})
	if err == nil {
		return nil
	}
	if err == unix.EINVAL {
		err = fmt.Errorf("%w: %w", ErrNoIDMap, err)
	}
	return &Error{Op: "map the ids of", Path: mnt.Proc(), Err: err,
		Hint: "ext4, xfs and btrfs can; overlay, NFS and FUSE cannot"}
}

// AsRootOf runs f on the calling thread with the file ids of a range's root,
// and with all capabilities: what f makes belongs to that root, and an overlay
// that f mounts makes its own files as that one. setfsuid(2) takes some
// capabilities away, which capset(2) brings back. Only inside OnThread.
func AsRootOf(first uint32, f func() error) error {
	was, err := capabilities()
	if err != nil {
		return err
	}
	setFileIDs(first)
	defer func() {
		setFileIDs(0)
		_ = setCapabilities(was) // the thread had them
	}()
	now, _, _ := unix.RawSyscall(unix.SYS_SETFSUID, ^uintptr(0), 0, 0)
	if uint32(now) != first {
		return fail("take on file access of a range", "", "", unix.EPERM)
	}
	if err := setCapabilities(was); err != nil {
		return err
	}
	return f()
}

func setFileIDs(id uint32) {
	unix.RawSyscall(unix.SYS_SETFSGID, uintptr(id), 0, 0)
	unix.RawSyscall(unix.SYS_SETFSUID, uintptr(id), 0, 0)
}

type capSets [2]unix.CapUserData

func capabilities() (sets capSets, err error) {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	err = unix.Capget(&header, &sets[0])
	return sets, os.NewSyscallError("capget", err)
}

func setCapabilities(sets capSets) error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	_, _, errno := unix.RawSyscall(unix.SYS_CAPSET, uintptr(unsafe.Pointer(&header)), uintptr(unsafe.Pointer(&sets[0])), 0)
	if errno != 0 {
		return fail("take back capabilities", "", "", errno)
	}
	return nil
}
