package kernel

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// Requests of linux/btrfs.h: BTRFS_IOC_SNAP_CREATE_V2 and BTRFS_IOC_SNAP_DESTROY.
const (
	btrfsSnapCreate  = 0x50009417
	btrfsSnapDestroy = 0x5000940f
	// btrfsReadOnly is BTRFS_SUBVOL_RDONLY.
	btrfsReadOnly = 1 << 1
	// btrfsRoot is the inode of the root of every subvolume (BTRFS_FIRST_FREE_OBJECTID).
	btrfsRoot = 256
)

// btrfsVolArgs is struct btrfs_ioctl_vol_args.
type btrfsVolArgs struct {
	fd   int64
	name [4088]byte
}

// btrfsVolArgs2 is struct btrfs_ioctl_vol_args_v2 for a snapshot.
type btrfsVolArgs2 struct {
	fd      int64
	transid uint64
	flags   uint64
	unused  [4]uint64
	name    [4040]byte
}

// IsSubvolume reports whether a directory is the root of a subvolume of btrfs: what
// a snapshot can be made of.
func IsSubvolume(dir FD) bool {
	var st unix.Stat_t
	var fs unix.Statfs_t
	return unix.Fstat(int(dir), &st) == nil && st.Ino == btrfsRoot && st.Mode&unix.S_IFMT == unix.S_IFDIR &&
		unix.Fstatfs(int(dir), &fs) == nil && fs.Type == unix.BTRFS_SUPER_MAGIC
}

// Snapshot makes a read-only snapshot of a subvolume under a name in a directory of
// the same file system. What other subvolumes have below it is not in it. Both are
// open for reading. It is EXDEV in another file system.
func Snapshot(subvolume, in FD, name string) error {
	args := btrfsVolArgs2{fd: int64(subvolume), flags: btrfsReadOnly}
	if len(name) >= len(args.name) {
		return fail("make a snapshot", name, "", unix.ENAMETOOLONG)
	}
	copy(args.name[:], name)
	return fail("make a snapshot", name, "", ioctl(in, btrfsSnapCreate, unsafe.Pointer(&args)))
}

// RemoveSubvolume removes the subvolume of a name in a directory, which is open for
// reading, with everything in it. The kernel frees its room in the background.
func RemoveSubvolume(in FD, name string) error {
	var args btrfsVolArgs
	if len(name) >= len(args.name) {
		return fail("remove the subvolume", name, "", unix.ENAMETOOLONG)
	}
	copy(args.name[:], name)
	return fail("remove the subvolume", name, "", ioctl(in, btrfsSnapDestroy, unsafe.Pointer(&args)))
}

// ioctl makes a request whose argument is what arg points to, for as long as the
// call takes.
func ioctl(fd FD, request uintptr, arg unsafe.Pointer) error {
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), request, uintptr(arg)); errno != 0 {
		return errno
	}
	return nil
}
