package kernel

import (
	"context"
	"errors"
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ext4Resize is EXT4_IOC_RESIZE_FS of fs/ext4/ext4.h.
const ext4Resize = 0x40086610

// errNotOn says that a mount is not of the file system in a file.
var errNotOn = errors.New("it is not the file system in that file")

// MayGrowDisk reports whether this process may do GrowDisk, which takes
// CAP_SYS_RESOURCE (capabilities(7)): containers may lack it.
func MayGrowDisk() bool {
	sets, err := capabilities()
	return err == nil && sets[0].Effective&(1<<unix.CAP_SYS_RESOURCE) != 0
}

// GrowDisk has the ext4 file system in a file, which is at least size bytes by now,
// take size bytes, while it is mounted, through a loop device, and used. mnt is a
// directory in it that is open for reading. The kernel grows it in steps, each of them
// whole on the disk or not there (its journal), and all of them have reached the file
// when GrowDisk returns: one that is stopped by anything, ctx too, can be called again. It
// is EINVAL for a file system that is larger already, and EPERM for one with errors.
func GrowDisk(ctx context.Context, mnt, file FD, size int64) error {
	var on, in unix.Stat_t
	var fs unix.Statfs_t
	if err := errors.Join(unix.Fstat(int(mnt), &on), unix.Fstat(int(file), &in), unix.Fstatfs(int(mnt), &fs)); err != nil {
		return fail("stat", mnt.Proc(), "", err)
	}
	device := fmt.Sprintf("/dev/loop%d", unix.Minor(on.Dev))
	raw, err := unix.Open(device, unix.O_RDONLY|unix.O_CLOEXEC, 0) // not to write: perhaps nobody may while it is mounted
	if err != nil {
		return fail("open", device, "", err)
	}
	dev := FD(raw)
	defer dev.Close()
	var of unix.Stat_t
	info, err := unix.IoctlLoopGetStatus64(raw)
	if err == nil {
		err = unix.Fstat(raw, &of)
	}
	if err == nil && (of.Rdev != on.Dev || info.Device != in.Dev || info.Inode != in.Ino || fs.Type != unix.EXT4_SUPER_MAGIC) {
		err = errNotOn
	}
	if err != nil {
		return fail("look at the file system on", device, "", err)
	}
	if err := unix.IoctlSetInt(raw, unix.LOOP_SET_CAPACITY, 0); err != nil {
		return fail("take the new size of the file for", device, "", err)
	}
	err = growExt4(ctx, mnt, fs, uint64(size/fs.Bsize))
	if errors.Is(err, unix.EPERM) {
		return &Error{Op: "grow the file system on", Path: device, Err: err, Hint: "the file system has errors, or this is in a container that lacks CAP_SYS_RESOURCE"}
	}
	return fail("grow the file system on", device, "", err)
}

// growExt4 has an ext4 file system have so many blocks. The kernel cannot be stopped
// while it grows one, and takes minutes for thousands of groups of blocks: it is asked for
// some at a time.
func growExt4(ctx context.Context, mnt FD, fs unix.Statfs_t, blocks uint64) error {
	// A group has as many blocks as a block has bits.
	some := 128 * 8 * uint64(fs.Bsize)
	for at := fs.Blocks; ; {
		at = min(at+some, blocks)
		// fs.Blocks are those for files alone: it may have more than at.
		if err := ioctl(mnt, ext4Resize, unsafe.Pointer(&at)); err != nil && (err != unix.EINVAL || at == blocks) {
			return err
		}
		if at == blocks {
			return nil
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
}
