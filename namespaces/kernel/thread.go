package kernel

import (
	"runtime"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"
)

// OnThread runs f on an operating-system thread of its own that is destroyed
// afterwards, so that f may change the thread's namespaces, root, umask and
// credentials. It is never the process's main thread, whose namespaces
// /proc/self shows. f must start no goroutine that relies on what it changed.
//
// It works because a goroutine that ends while locked takes its thread with
// it (runtime.LockOSThread), and because Go starts further threads from a
// template thread, never from a locked one.
func OnThread(f func() error) error {
	done := make(chan error, 1)
	go onThread(f, done)
	return <-done
}

func onThread(f func() error, done chan<- error) {
	runtime.LockOSThread()
	if unix.Gettid() == unix.Getpid() {
		// Holding the main thread makes the scheduler use another one.
		inner := make(chan error, 1)
		go onThread(f, inner)
		err := <-inner
		runtime.UnlockOSThread()
		done <- err
		return
	}
	done <- f()
}

// Unshare gives the calling thread namespaces of its own (unshare(2)) and its
// own root, working directory and umask, which is set to 0. Only inside
// OnThread. CLONE_NEWUSER is refused: a user namespace comes from clone.
func Unshare(flags int) error {
	if flags&unix.CLONE_NEWUSER != 0 {
		return fail("unshare", "", "user", unix.EINVAL)
	}
	flags |= unix.CLONE_FS
	if err := unix.Unshare(flags); err != nil {
		return fail("unshare", "", decode(uint64(flags), namespaceNames), err)
	}
	unix.Umask(0)
	return nil
}

// ReceiveMounts makes every mount of the calling thread's namespace a slave:
// later mounts of the host still appear below binds, nothing goes back.
func ReceiveMounts() error {
	return fail("stop mounts from reaching the host", "/", "slave", unix.Mount("", "/", "", unix.MS_REC|unix.MS_SLAVE, ""))
}

// MountNamespace opens the calling thread's mount namespace.
func MountNamespace() (FD, error) {
	const name = "/proc/thread-self/ns/mnt"
	fd, err := unix.Open(name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return None, fail("open", name, "", err)
	}
	return FD(fd), nil
}

// Home is what a thread goes back to after Unshare.
type Home struct {
	ns    FD
	flags int
}

// OpenHome notes the namespaces of the calling thread before Unshare(flags). The
// main thread of a process goes back to its mount namespace alone: there is
// nothing by which the kernel would name all of them at once. Any other one goes
// to those of the main thread, which must not have changed its own. Close it.
func OpenHome(flags int) (Home, error) {
	pid := unix.Getpid()
	pidfd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return Home{ns: None}, fail("open a process", strconv.Itoa(pid), "", err)
	}
	h := Home{FD(pidfd), flags &^ unix.CLONE_FS}
	if unix.Gettid() != pid {
		return h, nil
	}
	defer h.ns.Close()
	// By way of /proc (before Linux 6.11) this takes ten times as long.
	if ns, err := unix.IoctlRetInt(pidfd, unix.PIDFD_GET_MNT_NAMESPACE); err == nil {
		return Home{FD(ns), unix.CLONE_NEWNS}, nil
	}
	ns, err := MountNamespace()
	return Home{ns, unix.CLONE_NEWNS}, err
}

// Enter puts the calling thread back: its namespaces, and "/" as its root and
// working directory (setns(2)).
func (h Home) Enter() error {
	return fail("go back to the namespaces of the caller", "", decode(uint64(h.flags), namespaceNames), unix.Setns(int(h.ns), h.flags))
}

// Close forgets the way back.
func (h *Home) Close() { h.ns.Close() }

// EnterMountNamespace puts the calling thread, which Unshare gave a root of its
// own, into a mount namespace, at that one's root (setns(2)).
func EnterMountNamespace(ns FD) error {
	return fail("enter a mount namespace", "", "", unix.Setns(int(ns), unix.CLONE_NEWNS))
}

// InMountNamespace runs f on a thread of its own in a mount namespace, at that one's root.
// What f starts is a process there. As in OnThread f must start no goroutine that relies
// on where it is.
func InMountNamespace(ns FD, f func() error) error {
	return OnThread(func() error {
		if err := Unshare(0); err != nil {
			return err
		}
		if err := EnterMountNamespace(ns); err != nil {
			return err
		}
		return f()
	})
}

// PivotRoot makes the mount at root the root of the calling thread's mount
// namespace and drops the old one with everything below it (pivot_root(2),
// the "." "." form, then a lazy unmount of what it stacked).
func PivotRoot(root FD) error {
	if err := unix.Fchdir(int(root)); err != nil {
		return fail("enter the new root", "", "", err)
	}
	if err := unix.PivotRoot(".", "."); err != nil {
		return fail("pivot_root", "", "", err)
	}
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return fail("unmount the old root", "", "", err)
	}
	return fail("enter the new root", "", "", unix.Chdir("/"))
}

// AsUser runs f with the file-access credentials of uid, gid and groups on
// the calling thread, and restores root's afterwards. The kernel takes
// CAP_DAC_* and friends away while fsuid is not 0 (setfsuid(2)), and
// CAP_SYS_ADMIN stays. Only inside OnThread; the raw calls are per thread on
// purpose.
func AsUser(uid, gid uint32, groups []uint32, f func() error) error {
	if uid == 0 {
		return f()
	}
	if err := setgroups(groups); err != nil {
		return err
	}
	defer setgroups(nil)
	unix.RawSyscall(unix.SYS_SETFSGID, uintptr(gid), 0, 0)
	unix.RawSyscall(unix.SYS_SETFSUID, uintptr(uid), 0, 0)
	defer func() {
		unix.RawSyscall(unix.SYS_SETFSUID, 0, 0, 0)
		unix.RawSyscall(unix.SYS_SETFSGID, 0, 0, 0)
	}()
	// setfsuid reports the previous value and no error: ask what is in force.
	if now, _, _ := unix.RawSyscall(unix.SYS_SETFSUID, ^uintptr(0), 0, 0); uint32(now) != uid {
		return fail("take on file access of a user", "", "", unix.EPERM)
	}
	return f()
}

func setgroups(groups []uint32) error {
	_, _, errno := unix.RawSyscall(unix.SYS_SETGROUPS, uintptr(len(groups)), uintptr(unsafe.Pointer(unsafe.SliceData(groups))), 0)
	if errno != 0 {
		return fail("set groups", "", "", errno)
	}
	return nil
}

// Hostname sets the name in the calling thread's UTS namespace.
func Hostname(name string) error {
	return fail("set the host name", name, "", unix.Sethostname([]byte(name)))
}
