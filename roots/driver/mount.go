package driver

import (
	"fmt"

	"golang.org/x/sys/unix"

	"ninefold/namespaces/kernel"
	"ninefold/namespaces/plan"
)

// trial mounts layers as Probe needs it: read-only unless upper and work are
// given, detached. It runs inside kernel.OnThread, in a mount namespace of the
// thread's own; scratch is a writable mount that is attached there.
type trial struct {
	scratch kernel.FD
	held    []kernel.FD
	dirs    int
}

func (t *trial) hold(fd kernel.FD) kernel.FD {
	t.held = append(t.held, fd)
	return fd
}

// close lets go of everything. What hangs below scratch goes with it, at once
// and not only when the kernel gets to taking the thread's namespace apart.
func (t *trial) close() {
	kernel.Detach(t.scratch, "scratch")
	for i := range t.held {
		t.held[i].Close()
	}
}

// newTrial attaches a tmpfs at the directory at.
func newTrial(at string) (*trial, error) {
	if err := kernel.Unshare(unix.CLONE_NEWNS); err != nil {
		return nil, err
	}
	if err := kernel.ReceiveMounts(); err != nil {
		return nil, err
	}
	t := &trial{}
	mnt, err := kernel.NewMount("tmpfs", 0, kernel.Text("mode", "0700"))
	if err != nil {
		return nil, err
	}
	t.scratch = t.hold(mnt)
	place, err := kernel.OpenHost(at)
	if err != nil {
		t.close()
		return nil, err
	}
	defer place.Close()
	if err := kernel.Attach(mnt, place, at); err != nil {
		t.close()
		return nil, err
	}
	return t, nil
}

func (t *trial) dir() (kernel.FD, error) {
	t.dirs++
	name := fmt.Sprint("d", t.dirs)
	if err := kernel.Mkdir(t.scratch, name, 0o755, 0, 0); err != nil {
		return kernel.None, err
	}
	fd, err := kernel.OpenIn(t.scratch, name, unix.O_PATH|unix.O_DIRECTORY)
	if err != nil {
		return kernel.None, err
	}
	return t.hold(fd), nil
}

// mount joins layers, topmost first.
func (t *trial) mount(layers []plan.Layer, writable bool) (kernel.FD, error) {
	m := kernel.OverlayMount{Upper: kernel.None, Work: kernel.None, Source: "ninefold-trial", Volatile: true}
	var ordinary []kernel.FD
	seen := map[string]bool{}
	for _, l := range layers {
		root, err := t.layer(l)
		if err != nil {
			return kernel.None, err
		}
		m.Lowers = append(m.Lowers, root)
		if l.Data == "" || seen[l.Data] {
			continue
		}
		seen[l.Data] = true
		data, err := kernel.OpenHost(l.Data)
		if err != nil {
			return kernel.None, err
		}
		t.hold(data)
		m.Metacopy = true
		if l.Kind == plan.LayerComposefs {
			m.Data = append(m.Data, data)
		} else {
			ordinary = append(ordinary, data)
		}
	}
	top, err := t.top(len(ordinary) > 0)
	if err != nil {
		return kernel.None, err
	}
	m.Lowers = append([]kernel.FD{top}, append(m.Lowers, ordinary...)...)
	if writable {
		if m.Upper, err = t.dir(); err != nil {
			return kernel.None, err
		}
		if m.Work, err = t.dir(); err != nil {
			return kernel.None, err
		}
	} else {
		m.Attr = kernel.ReadOnly
	}
	mnt, err := kernel.NewOverlay(m, kernel.Overlay())
	if err != nil {
		return kernel.None, err
	}
	return t.hold(mnt), nil
}

// top makes the topmost lower: empty, or with the whiteouts that hide the names
// of an object directory below. A read-only overlay wants a second layer anyway.
func (t *trial) top(whiteouts bool) (kernel.FD, error) {
	top, err := t.dir()
	if err != nil || !whiteouts {
		return top, err
	}
	for i := range 256 {
		if err := kernel.Mknod(top, fmt.Sprintf("%02x", i), 0, 0, 0); err != nil {
			return kernel.None, err
		}
	}
	return top, nil
}

// layer opens one layer; a file system of its own is attached, because kernels
// before 6.15 take no layer from a detached mount.
func (t *trial) layer(l plan.Layer) (kernel.FD, error) {
	source, err := kernel.OpenHost(l.Source)
	if err != nil {
		return kernel.None, err
	}
	t.hold(source)
	var mnt kernel.FD
	switch l.Kind {
	case plan.LayerDir:
		return source, nil
	case plan.LayerComposefs:
		if !kernel.Overlay().DataOnly {
			return kernel.None, fmt.Errorf("data-only overlay layers: %w (Linux 6.5 has them)", unix.EOPNOTSUPP)
		}
		mnt, err = kernel.NewMount("erofs", kernel.ReadOnly, kernel.Text("source", l.Source))
	case plan.LayerLoop:
		mnt, err = t.loop(source)
	default:
		err = fmt.Errorf("layer kind %q: %w", l.Kind, unix.EINVAL)
	}
	if err != nil {
		return kernel.None, err
	}
	t.hold(mnt)
	at, err := t.dir()
	if err != nil {
		return kernel.None, err
	}
	return mnt, kernel.Attach(mnt, at, l.Source)
}

func (t *trial) loop(file kernel.FD) (kernel.FD, error) {
	readable, err := kernel.Reopen(file, unix.O_RDONLY)
	if err != nil {
		return kernel.None, err
	}
	defer readable.Close()
	dev, path, err := kernel.LoopDevice(readable)
	if err != nil {
		return kernel.None, err
	}
	defer dev.Close()
	// "ro" makes the file system itself read-only: without it the kernel opens
	// the device for writing, which a read-only loop device refuses.
	return kernel.NewMount("erofs", kernel.ReadOnly, kernel.Flag("ro"), kernel.Text("source", path))
}
