package namespaces

import (
	"errors"
	"path"
	"strings"

	"golang.org/x/sys/unix"

	"ninefold/namespaces/kernel"
	"ninefold/namespaces/plan"
)

var devices = []struct {
	name         string
	major, minor uint32
}{
	{"null", 1, 3}, {"zero", 1, 5}, {"full", 1, 7}, {"random", 1, 8}, {"urandom", 1, 9}, {"tty", 5, 0},
}

var devLinks = [][2]string{
	{"/proc/self/fd", "fd"}, {"/proc/self/fd/0", "stdin"}, {"/proc/self/fd/1", "stdout"},
	{"/proc/self/fd/2", "stderr"}, {"pts/ptmx", "ptmx"},
}

func cut(word string) (name, value string, found bool) { return strings.Cut(word, "=") }

// mountDev mounts a minimal /dev: a small tmpfs with the six harmless
// character devices, the usual links, places for pts, shm and mqueue, and the
// host's devices that the options name.
func (b *builder) mountDev(op plan.Mount) error {
	mnt, err := kernel.NewMount("tmpfs", attrs(op.Flags)&^kernel.ReadOnly|kernel.NoSuid|kernel.NoExec,
		kernel.Text("mode", "0755"), kernel.Text("size", "1m"), kernel.Text("source", "dev"))
	if err != nil {
		return err
	}
	b.hold(mnt)
	for _, d := range devices {
		if err := kernel.Mknod(mnt, d.name, 0o666, d.major, d.minor); errors.Is(err, unix.EPERM) {
			err = b.bindDevice(mnt, d.name) // a container without CAP_MKNOD
			if err != nil {
				return err
			}
		} else if err != nil {
			return err
		}
	}
	for _, l := range devLinks {
		if err := kernel.Symlink(l[0], mnt, l[1]); err != nil {
			return err
		}
	}
	for _, d := range []string{"pts", "shm", "mqueue"} {
		if err := kernel.Mkdir(mnt, d, 0o755, 0, 0); err != nil {
			return err
		}
	}
	for _, name := range op.Options {
		// A profile names what a session may have: a machine without a sound
		// card runs it all the same.
		if err := b.bindDevice(mnt, name); err != nil && !isMissing(err) {
			return err
		}
	}
	return b.attachDir(mnt, op.Target)
}

// openDevice opens the host's /dev/name, with what the session's user may look
// up. /dev/shm is everybody's to write: no link there leads out of /dev.
func (b *builder) openDevice(name string) (source kernel.FD, err error) {
	dev, err := kernel.OpenHost("/dev")
	if err != nil {
		return kernel.None, err
	}
	defer dev.Close()
	err = b.asOrigin(plan.Origin(b.first.identity.UID), func() (err error) {
		source, err = kernel.OpenBelow(dev, name)
		return err
	})
	return source, err
}

// bindDevice shows the host's /dev/name, a device or a directory of them.
func (b *builder) bindDevice(dev kernel.FD, name string) error {
	host := path.Join("/dev", name)
	source, err := b.openDevice(name)
	if err != nil {
		return err
	}
	defer source.Close()
	tree, err := kernel.OpenTree(source, true)
	if err != nil {
		return err
	}
	b.hold(tree)
	if err := kernel.SetAttr(tree, kernel.NoSuid|kernel.NoExec, true); err != nil {
		return err
	}
	dir, err := kernel.IsDir(tree)
	if err != nil {
		return err
	}
	var at kernel.FD
	if dir {
		at, err = kernel.MkdirAllIn(dev, name, 0o755)
	} else {
		at, err = kernel.TouchIn(dev, name)
	}
	if err != nil {
		return err
	}
	defer at.Close()
	return kernel.Attach(tree, at, host)
}
