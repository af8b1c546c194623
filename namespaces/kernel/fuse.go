package kernel

import (
	"errors"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// CutFUSE ends the FUSE connections of a user: what waits for an answer of one
// gets an error (fuse/fuse.rst, "Control filesystem", in the kernel's
// documentation). It returns how many there were. Root's are left alone.
func CutFUSE(uid uint32) (cut int, err error) {
	if uid == 0 {
		return 0, nil
	}
	control, err := NewMount("fusectl", NoSuid|NoDev|NoExec)
	if err != nil {
		return 0, err
	}
	defer control.Close()
	top := "/proc/self/fd/" + strconv.Itoa(control.Int())
	all, err := os.ReadDir(top)
	if err != nil {
		return 0, fail("list FUSE connections", "", "", err)
	}
	for _, c := range all {
		dir := top + "/" + c.Name()
		var st unix.Stat_t
		if unix.Stat(dir, &st) != nil || st.Uid != uid {
			continue // another's, or one that has ended meanwhile
		}
		if werr := os.WriteFile(dir+"/abort", []byte("1"), 0); werr != nil && !errors.Is(werr, unix.ENOENT) {
			err = errors.Join(err, fail("cut a FUSE connection", c.Name(), "", werr))
			continue
		}
		cut++
	}
	return cut, err
}

// Requests of ioctl_ns(2).
const (
	nsGetUserNS   = 0xb701
	nsGetOwnerUID = 0xb704
)

// RootsMounts reports whether the mounts of a process, whose directory in /proc
// is open, are root's to make: its mount namespace belongs to a user namespace
// that root made, or to the first one. It is false if that cannot be seen.
func RootsMounts(process FD) bool {
	ns, err := unix.Openat(process.Int(), "ns/mnt", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return false
	}
	defer unix.Close(ns)
	user, err := unix.IoctlRetInt(ns, nsGetUserNS)
	if err != nil {
		return false
	}
	defer unix.Close(user)
	owner, err := unix.IoctlGetUint32(user, nsGetOwnerUID)
	return err == nil && owner == 0
}
