package namespaces

import (
	"errors"
	"time"

	"ninefold/namespaces/kernel"
	"ninefold/namespaces/plan"
)

// diskPatience is how long a session waits for the end of the one before, which has
// to write what is in memory to the disk.
const diskPatience = 2 * time.Second

// ErrDiskInUse says that another session has the disk.
var ErrDiskInUse = kernel.ErrDiskInUse

// openDisk opens the file of a disk, and makes it this session's.
func (b *builder) openDisk(i int, op plan.Disk) error {
	for until := time.Now().Add(diskPatience); ; time.Sleep(10 * time.Millisecond) {
		file, err := kernel.OpenDisk(op.Source)
		if err == nil {
			b.sources[i] = b.hold(file)
			return nil
		}
		if !errors.Is(err, kernel.ErrDiskInUse) || time.Now().After(until) {
			return err
		}
	}
}

// disk mounts it, so that what is nobody's on it is the user's. The device goes with
// the last mount, and with that the lock.
func (b *builder) disk(i int, op plan.Disk) error {
	if err := b.needRoot(); err != nil {
		return err
	}
	ids := b.first.namespaces
	ns, err := kernel.OwnerNamespace(b.hostInit(), plan.DiskOwner, ids.OnHost(op.UID), ids.OnHost(op.GID))
	if err != nil {
		return err
	}
	defer ns.Close()
	mnt, err := kernel.MountDisk(b.sources[i], plan.DiskOwner, attrs(op.Flags))
	if err != nil {
		return err
	}
	b.hold(mnt)
	if err := kernel.MapIDs(mnt, ns); err != nil {
		return err
	}
	device, err := kernel.Device(mnt)
	if err != nil {
		return err
	}
	if g := b.command.Guard; g != nil {
		g.Disks = append(g.Disks, device)
	}
	return b.attachDir(mnt, op.Target)
}
