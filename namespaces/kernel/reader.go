package kernel

import "golang.org/x/sys/unix"

// AsReader runs f on the calling thread with the file access of uid, gid and groups,
// and with the one capability that mounting takes: an overlay looks into its layers
// as who mounted it (Documentation/filesystems/overlayfs.rst, "Permission model"), so
// one that f mounts shows nobody what that user could not read. Only inside OnThread.
func AsReader(uid, gid uint32, groups []uint32, f func() error) error {
	was, err := capabilities()
	if err != nil {
		return err
	}
	wasUID, _, _ := unix.RawSyscall(unix.SYS_SETFSUID, ^uintptr(0), 0, 0)
	wasGID, _, _ := unix.RawSyscall(unix.SYS_SETFSGID, ^uintptr(0), 0, 0)
	n, err := unix.Getgroups()
	if err != nil {
		return fail("look at groups", "", "", err)
	}
	before := make([]uint32, len(n))
	for i, g := range n {
		before[i] = uint32(g)
	}
	defer func() {
		_ = setCapabilities(was) // the thread had them
		_ = setgroups(before)
		unix.RawSyscall(unix.SYS_SETFSGID, wasGID, 0, 0)
		unix.RawSyscall(unix.SYS_SETFSUID, wasUID, 0, 0)
		_ = setCapabilities(was) // what a change to uid 0 or from it took
	}()
	if err := setgroups(groups); err != nil {
		return err
	}
	unix.RawSyscall(unix.SYS_SETFSGID, uintptr(gid), 0, 0)
	unix.RawSyscall(unix.SYS_SETFSUID, uintptr(uid), 0, 0)
	nowUID, _, _ := unix.RawSyscall(unix.SYS_SETFSUID, ^uintptr(0), 0, 0)
	nowGID, _, _ := unix.RawSyscall(unix.SYS_SETFSGID, ^uintptr(0), 0, 0)
	if uint32(nowUID) != uid || uint32(nowGID) != gid {
		return fail("take on file access of a reader", "", "", unix.EPERM)
	}
	few := was
	for i := range few {
		few[i].Effective = 0
	}
	few[unix.CAP_SYS_ADMIN/32].Effective = 1 << (unix.CAP_SYS_ADMIN % 32)
	if err := setCapabilities(few); err != nil {
		return err
	}
	return f()
}
