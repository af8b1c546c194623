package namespaces

import (
	"errors"
	"path"
	"slices"
	"strings"
	"sync"

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

// devPlaces are directories for mounts.
var devPlaces = [...]string{"pts", "shm", "mqueue"}

func cut(word string) (name, value string, found bool) { return strings.Cut(word, "=") }

// mountDev mounts a minimal /dev: a small tmpfs with the six harmless
// character devices, the usual links, places for pts, shm and mqueue, and the
// host's devices that the options name. It is read-only, unless the plan puts
// something of its own into it.
func (b *builder) mountDev(op plan.Mount) error {
	adds := b.addsTo(op.Target)
	mnt, lacking, err := b.devTree(adds || len(op.Options) > 0 || b.idmap != kernel.None)
	if err != nil {
		return err
	}
	// Before Linux 6.15 nothing can be attached to what is attached nowhere.
	if err := b.attachDir(mnt, op.Target); err != nil {
		return err
	}
	for _, name := range lacking {
		if err := b.bindDevice(mnt, name); err != nil {
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
	attr := attrs(op.Flags) | kernel.NoSuid | kernel.NoExec
	if !adds {
		attr |= kernel.ReadOnly
		b.readonly = append(b.readonly, place{op.Target, mnt})
	}
	return kernel.SetAttr(mnt, attr, false)
}

// addsTo reports whether a step makes something below dev, other than on the
// places that are there for it.
func (b *builder) addsTo(dev string) bool {
	for _, op := range b.plan.Ops {
		var target string
		switch op := op.(type) {
		case plan.Mount:
			target = op.Target
		case plan.Bind:
			target = op.Target
		case plan.Mkdir:
			target = op.Path
		case plan.Link:
			target = op.Path
		case plan.File:
			target = op.Path
		}
		if name, below := strings.CutPrefix(target, dev+"/"); below && !slices.Contains(devPlaces[:], name) {
			return true
		}
	}
	return false
}

// devTemplate is a finished /dev that trusted sessions without devices of
// their own get a copy of, from a process's second session on. The copies
// share what nobody can write; an untrusted session shares nothing.
var devTemplate struct {
	sync.Mutex
	begun bool // the first session had one of its own
	ready bool
	tree  kernel.FD
}

// devTree returns the /dev of a session, detached, without the host's devices, and
// the harmless ones that it lacks. One that something is put into is the session's
// own.
func (b *builder) devTree(own bool) (tree kernel.FD, lacking []string, err error) {
	if own || b.plan.Class != plan.Trusted {
		return b.newDev()
	}
	t := &devTemplate
	t.Lock()
	defer t.Unlock()
	if !t.begun {
		t.begun = true
		return b.newDev()
	}
	if !t.ready {
		if tree, lacking, err = b.newDev(); err != nil || len(lacking) > 0 {
			return tree, lacking, err
		}
		// The builder closes what it holds; the template outlives it.
		if t.tree, err = kernel.Duplicate(tree); err != nil {
			return kernel.None, nil, err
		}
		t.ready = true
	}
	if tree, err = kernel.OpenTree(t.tree, false); err != nil {
		// Before Linux 6.15 a tree that is attached nowhere cannot be copied.
		return b.newDev()
	}
	return b.hold(tree), nil, nil
}

func (b *builder) newDev() (mnt kernel.FD, lacking []string, err error) {
	mnt, err = kernel.NewMount("tmpfs", kernel.NoSuid|kernel.NoExec,
		kernel.Text("mode", "0755"), kernel.Text("size", "1m"), kernel.Text("source", "dev"))
	if err != nil {
		return kernel.None, nil, err
	}
	b.hold(mnt)
	for _, d := range devices {
		err := kernel.Mknod(mnt, d.name, 0o666, d.major, d.minor)
		if errors.Is(err, unix.EPERM) {
			lacking = append(lacking, d.name) // a container without CAP_MKNOD
		} else if err != nil {
			return kernel.None, nil, err
		}
	}
	for _, l := range devLinks {
		if err := kernel.Symlink(l[0], mnt, l[1]); err != nil {
			return kernel.None, nil, err
		}
	}
	for _, d := range devPlaces {
		if err := kernel.Mkdir(mnt, d, 0o755, 0, 0); err != nil {
			return kernel.None, nil, err
		}
	}
	return mnt, lacking, nil
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
