package kernel

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// ErrDiskInUse says that somebody has the file of a disk.
var ErrDiskInUse = errors.New("it is in use")

// errNoDisk says that a file is not one that root alone can have made a disk of.
var errNoDisk = errors.New("it is no regular file that is root's and nobody else's")

// OpenDisk opens the file of a disk for reading and writing, and takes its lock
// (flock(2)), or is ErrDiskInUse. The lock is the open file's, which a loop device keeps:
// so it is held until the last mount of the device is gone, whatever became of
// who made it, and no file ever has two devices, which would ruin what is in it.
func OpenDisk(path string) (FD, error) {
	raw, err := unix.Open(path, unix.O_RDWR|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return None, fail("open", path, "", err)
	}
	fd := FD(raw)
	var st unix.Stat_t
	if err = unix.Fstat(raw, &st); err == nil && (st.Mode&unix.S_IFMT != unix.S_IFREG || st.Uid != 0 || st.Mode&0o077 != 0) {
		err = errNoDisk
	}
	if err == nil {
		if err = unix.Flock(raw, unix.LOCK_EX|unix.LOCK_NB); err == unix.EWOULDBLOCK {
			err = ErrDiskInUse
		}
	}
	if err == nil {
		if err = unix.Fstat(raw, &st); err == nil && st.Nlink == 0 {
			err = unix.ENOENT // it was removed between our calls
		}
	}
	if err != nil {
		fd.Close()
		return None, fail("open", path, "", err)
	}
	return fd, nil
}

// MountDisk mounts the ext4 file system in a file of OpenDisk, as a detached mount.
// A new one becomes owner's, and empty. After a damage it is read-only.
func MountDisk(file FD, owner uint32, attr Attr) (FD, error) {
	dev, name, err := LoopDevice(file, false)
	if err != nil {
		return None, err
	}
	defer dev.Close()
	mnt, err := NewMount("ext4", attr, Text("source", name), Text("errors", "remount-ro"))
	if err == nil {
		if err = fail("begin with the disk in", file.Proc(), "", begin(mnt, owner)); err != nil {
			mnt.Close()
		}
	}
	return mnt, err
}

// begin gives the root of a file system that mkfs.ext4(8) has just made to owner: it
// is root's until then, and only then. That is done last. What e2fsck(8) makes there for
// what it finds is root's, too, and taken away as long as it is empty.
func begin(mnt FD, owner uint32) error {
	const found = "lost+found"
	var st unix.Stat_t
	if err := unix.Fstatat(int(mnt), found, &st, unix.AT_SYMLINK_NOFOLLOW); err == nil && st.Uid == 0 {
		if err := unix.Unlinkat(int(mnt), found, unix.AT_REMOVEDIR); err != nil && err != unix.ENOTEMPTY && err != unix.EROFS {
			return err
		}
	}
	if who, err := Owner(mnt); err != nil || who != 0 {
		return err
	}
	if err := unix.Fchmodat(int(mnt), ".", 0o700, 0); err != nil {
		return err
	}
	return unix.Fchownat(int(mnt), "", int(owner), int(owner), unix.AT_EMPTY_PATH)
}

// Device returns the number of the file system that fd is on, as mountinfo has it:
// MAJOR:MINOR (proc_pid_mountinfo(5)).
func Device(fd FD) (string, error) {
	var st unix.Stat_t
	if err := unix.Fstat(int(fd), &st); err != nil {
		return "", fail("stat", fd.Proc(), "", err)
	}
	return fmt.Sprintf("%d:%d", unix.Major(st.Dev), unix.Minor(st.Dev)), nil
}
