package namespaces

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"

	"ninefold/namespaces/kernel"
)

// ErrFileSystem: there is no file system that could be mounted.
var ErrFileSystem = errors.New("it holds no file system that can be mounted")

// MemoryDefault bounds a live mount in memory that has no other bound.
const MemoryDefault = 64 << 20

// fileSystems are those that a file can hold, with where each says so
// (libblkid knows the same places). The order counts: vfat says least.
var fileSystems = [...]struct {
	name  string
	at    int64
	magic string
}{
	{"squashfs", 0, "hsqs"}, {"erofs", 1024, "\xe2\xe1\xf5\xe0"}, {"xfs", 0, "XFSB"}, {"ext4", 1024 + 56, "\x53\xef"},
	{"btrfs", 65536 + 64, "_BHRfS_M"}, {"f2fs", 1024, "\x10\x20\xf5\xf2"}, {"iso9660", 32769, "CD001"}, {"exfat", 3, "EXFAT   "},
	{"vfat", 82, "FAT32   "}, {"vfat", 54, "FAT16   "}, {"vfat", 54, "FAT12   "},
}

// FileSystem returns the kernel's name of the file system that r holds, or
// ErrFileSystem.
func FileSystem(r io.ReaderAt) (string, error) {
	for _, f := range fileSystems {
		b := make([]byte, len(f.magic))
		if _, err := r.ReadAt(b, f.at); err == nil && bytes.Equal(b, []byte(f.magic)) {
			return f.name, nil
		}
	}
	return "", ErrFileSystem
}

// inodeSize is how much of a file system in memory there is for each file: empty
// ones take memory, too.
const inodeSize = 4096

// MountMemory mounts an empty file system of the view's user at target, as Bind
// does: nosuid and nodev, in the same places. size bounds it in bytes; 0 is 64 MiB.
func (l Live) MountMemory(target string, size int64, readOnly bool) (id uint64, err error) {
	if size == 0 {
		size = MemoryDefault
	}
	err = l.inView(func() error {
		mnt, err := kernel.NewMount("tmpfs", liveAttr(readOnly), kernel.Text("mode", "0700"), kernel.Text("size", strconv.FormatInt(size, 10)),
			kernel.Text("nr_inodes", strconv.FormatInt(max(size/inodeSize, 64), 10)),
			kernel.Text("uid", strconv.FormatUint(uint64(l.User.UID), 10)), kernel.Text("gid", strconv.FormatUint(uint64(l.User.GID), 10)))
		if err != nil {
			return err
		}
		defer mnt.Close()
		id, err = l.put(mnt, target)
		return err
	})
	return id, err
}

// MountImage mounts the file system in a file of l.From's at target, as
// MountMemory does. It is opened as root, for root alone: the kernel's file
// systems trust what is in it. typ "" finds out what it is.
func (l Live) MountImage(source, typ, target string, readOnly bool) (id uint64, err error) {
	err = l.inView(func() error {
		if err := kernel.EnterMountNamespace(kernel.FD(l.From.Fd())); err != nil {
			return err
		}
		mnt, err := openImage(source, typ, readOnly)
		if err != nil {
			return fmt.Errorf("%s: %w", source, err)
		}
		defer mnt.Close()
		if err := kernel.EnterMountNamespace(kernel.FD(l.View.Fd())); err != nil {
			return err
		}
		id, err = l.put(mnt, target)
		return err
	})
	return id, err
}

// openImage mounts what is in a file, detached.
func openImage(source, typ string, readOnly bool) (kernel.FD, error) {
	flags := unix.O_RDWR
	if readOnly {
		flags = unix.O_RDONLY
	}
	file, err := os.OpenFile(source, flags|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	if err != nil {
		return kernel.None, err
	}
	defer file.Close()
	if st, err := file.Stat(); err != nil {
		return kernel.None, err
	} else if !st.Mode().IsRegular() {
		return kernel.None, fmt.Errorf("%w: it is no file; mount a device on the host, and bind it from there", ErrFileSystem)
	}
	if typ == "" {
		if typ, err = FileSystem(file); err != nil {
			return kernel.None, err
		}
	}
	if !known(typ) {
		return kernel.None, fmt.Errorf("%w: %q is not a type that a file can hold", ErrFileSystem, typ)
	}
	dev, name, err := kernel.LoopDevice(kernel.FD(file.Fd()), readOnly)
	if err != nil {
		return kernel.None, err
	}
	defer dev.Close()
	options := []kernel.Option{kernel.Text("source", name)}
	if readOnly {
		options = append(options, kernel.Flag("ro"))
	}
	return kernel.NewMount(typ, liveAttr(readOnly), options...)
}

func known(typ string) bool {
	for _, f := range fileSystems {
		if f.name == typ {
			return true
		}
	}
	return slices.Contains([]string{"ext2", "ext3", "udf", "ntfs3"}, typ)
}

func liveAttr(readOnly bool) kernel.Attr {
	if readOnly {
		return kernel.NoSuid | kernel.NoDev | kernel.ReadOnly
	}
	return kernel.NoSuid | kernel.NoDev
}
