package kernel

import "golang.org/x/sys/unix"

// MayRead reports whether the calling thread may read the open file, and for a
// directory look names up in it, by its file-access credentials (AsUser counts;
// faccessat2(2)). Nothing is opened: a device or a pipe would notice.
func MayRead(fd FD) error {
	dir, err := IsDir(fd)
	if err != nil {
		return err
	}
	mode := uint32(unix.R_OK)
	if dir {
		mode |= unix.X_OK
	}
	return fail("read", fd.Proc(), "", unix.Faccessat(int(fd), "", mode, unix.AT_EACCESS|unix.AT_EMPTY_PATH))
}
