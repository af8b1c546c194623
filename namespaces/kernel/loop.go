package kernel

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// LoopDevice attaches the open file, read-only or as it is open, to a free loop
// device that detaches itself when its last user is gone (LO_FLAGS_AUTOCLEAR,
// loop(4)), so that nothing is left behind whatever happens to this process. The
// caller closes the device after mounting it.
func LoopDevice(file FD, readOnly bool) (dev FD, path string, err error) {
	flags, access := uint32(unix.LO_FLAGS_AUTOCLEAR), unix.O_RDWR
	if readOnly {
		flags, access = flags|unix.LO_FLAGS_READ_ONLY, unix.O_RDONLY
	}
	control, err := unix.Open("/dev/loop-control", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return None, "", &Error{Op: "open", Path: "/dev/loop-control", Err: err, Hint: "load the loop module (modprobe loop)"}
	}
	defer unix.Close(control)
	// Another process may take the free device first: try again, a bounded number of times.
	for range 64 {
		n, err := unix.IoctlRetInt(control, unix.LOOP_CTL_GET_FREE)
		if err != nil {
			return None, "", fail("find a free loop device", "", "", err)
		}
		path = fmt.Sprintf("/dev/loop%d", n)
		raw, err := unix.Open(path, access|unix.O_CLOEXEC, 0)
		if err != nil {
			return None, "", fail("open", path, "", err)
		}
		config := unix.LoopConfig{Fd: uint32(file), Info: unix.LoopInfo64{Flags: flags}}
		err = unix.IoctlLoopConfigure(raw, &config)
		if err == nil {
			return FD(raw), path, nil
		}
		unix.Close(raw)
		if err != unix.EBUSY {
			return None, "", fail("attach to a loop device", path, "", err)
		}
	}
	return None, "", fail("attach to a loop device", path, "", unix.EBUSY)
}
