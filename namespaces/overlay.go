package namespaces

import (
	"fmt"
	"strconv"

	"golang.org/x/sys/unix"

	"ninefold/namespaces/kernel"
	"ninefold/namespaces/plan"
)

// layer is an opened plan.Layer.
type layer struct {
	root kernel.FD
	data kernel.FD // object directory, or None
}

// overlay mounts one union. The first one, on "/", becomes the root.
func (b *builder) overlay(op plan.Overlay) error {
	if len(op.Lowers) == 0 {
		return fmt.Errorf("%w: an overlay without layers", ErrPlan)
	}
	if err := b.openScratch(op); err != nil {
		return err
	}
	m := kernel.OverlayMount{Upper: kernel.None, Work: kernel.None, Attr: attrs(op.Flags), Source: "ninefold"}
	var ordinary []kernel.FD // object directories as ordinary lowers (loop)
	seen := map[kernel.FD]bool{}
	for _, l := range op.Lowers {
		opened, err := b.openLayer(l)
		if err != nil {
			return fmt.Errorf("layer %s: %w", l.Source, err)
		}
		root := opened.root
		if l.Sub != "" {
			root, err = kernel.OpenIn(opened.root, "/"+l.Sub, unix.O_PATH|unix.O_DIRECTORY)
			if isMissing(err) {
				continue
			}
			if err != nil {
				return fmt.Errorf("layer %s: %w", l.Source, err)
			}
			b.hold(root)
		}
		m.Lowers = append(m.Lowers, root)
		if opened.data == kernel.None {
			continue
		}
		m.Metacopy = true
		if seen[opened.data] {
			continue
		}
		seen[opened.data] = true
		if l.Kind == plan.LayerComposefs {
			m.Data = append(m.Data, opened.data)
		} else {
			ordinary = append(ordinary, opened.data)
		}
	}
	m.Lowers = append(m.Lowers, ordinary...)
	if op.Upper != nil {
		if err := b.openUpper(*op.Upper, &m); err != nil {
			return err
		}
	} else if len(m.Lowers) == 1 {
		// The kernel wants two layers of a read-only overlay.
		empty, err := b.scratchDir("empty")
		if err != nil {
			return err
		}
		m.Lowers = append([]kernel.FD{empty}, m.Lowers...)
	}
	mnt, err := kernel.NewOverlay(m, kernel.Overlay())
	if err != nil {
		return err
	}
	b.hold(mnt)
	if op.Flags.ReadOnly || op.Upper == nil {
		b.readonly = append(b.readonly, place{op.Target, mnt})
	}
	if op.Target == "/" {
		if b.root != kernel.None {
			return fmt.Errorf("%w: a second root overlay", ErrPlan)
		}
		at, err := b.scratchDir("root")
		if err != nil {
			return err
		}
		b.root = mnt
		return kernel.Attach(mnt, at, "/")
	}
	return b.attachDir(mnt, op.Target)
}

// openScratch mounts the tmpfs that holds throw-away uppers and places to
// attach layers to, once, with the size of the first tmpfs upper.
func (b *builder) openScratch(op plan.Overlay) error {
	if b.scratch != kernel.None {
		return nil
	}
	options := []kernel.Option{kernel.Text("mode", "0700")}
	if op.Upper != nil && op.Upper.Dir == "" && op.Upper.Size > 0 {
		options = append(options, kernel.Text("size", strconv.FormatInt(op.Upper.Size, 10)))
	}
	mnt, err := kernel.NewMount("tmpfs", 0, options...)
	if err != nil {
		return err
	}
	b.scratch = b.hold(mnt)
	at, err := kernel.OpenHost(scratchAt)
	if err != nil {
		return err
	}
	defer at.Close()
	return kernel.Attach(mnt, at, scratchAt)
}

func (b *builder) scratchDir(name string) (kernel.FD, error) {
	if err := kernel.Mkdir(b.scratch, name, 0o755, 0, 0); err != nil {
		return kernel.None, err
	}
	fd, err := kernel.OpenIn(b.scratch, name, unix.O_PATH|unix.O_DIRECTORY)
	if err != nil {
		return kernel.None, err
	}
	return b.hold(fd), nil
}

// openLayer opens a layer once, however many overlays use it.
func (b *builder) openLayer(l plan.Layer) (layer, error) {
	l.Sub = ""
	if have, ok := b.layers[l]; ok {
		return have, nil
	}
	opened := layer{data: kernel.None}
	source, err := kernel.OpenHost(l.Source)
	if err != nil {
		return layer{}, err
	}
	b.hold(source)
	if l.Data != "" {
		if opened.data, err = b.openData(l.Data); err != nil {
			return layer{}, err
		}
	}
	switch l.Kind {
	case plan.LayerDir:
		opened.root = source
	case plan.LayerComposefs:
		if !kernel.Overlay().DataOnly {
			return layer{}, fmt.Errorf("%w: data-only overlay layers need Linux 6.5", ErrUnsupported)
		}
		opened.root, err = kernel.NewMount("erofs", kernel.ReadOnly, kernel.Text("source", l.Source))
	case plan.LayerLoop:
		opened.root, err = mountLoop(source, l.Source)
	default:
		err = fmt.Errorf("%w: layer kind %q", ErrPlan, l.Kind)
	}
	if err != nil {
		return layer{}, err
	}
	if l.Kind != plan.LayerDir {
		// Kernels before 6.15 take only layers that are attached somewhere.
		b.hold(opened.root)
		at, err := b.scratchDir("layer" + strconv.Itoa(len(b.layers)))
		if err != nil {
			return layer{}, err
		}
		if err := kernel.Attach(opened.root, at, l.Source); err != nil {
			return layer{}, err
		}
	}
	b.layers[l] = opened
	return opened, nil
}

func (b *builder) openData(dir string) (kernel.FD, error) {
	for l, opened := range b.layers {
		if l.Data == dir {
			return opened.data, nil
		}
	}
	fd, err := kernel.OpenHost(dir)
	if err != nil {
		return kernel.None, err
	}
	return b.hold(fd), nil
}

func mountLoop(file kernel.FD, name string) (kernel.FD, error) {
	readable, err := kernel.Reopen(file, unix.O_RDONLY)
	if err != nil {
		return kernel.None, err
	}
	defer readable.Close()
	dev, path, err := kernel.LoopDevice(readable)
	if err != nil {
		return kernel.None, fmt.Errorf("%s: %w", name, err)
	}
	defer dev.Close()
	return kernel.NewMount("erofs", kernel.ReadOnly, kernel.Text("source", path))
}

// openUpper prepares the writable layer: directories on the scratch tmpfs, or
// "upper" and "work" below a kept directory.
func (b *builder) openUpper(u plan.Upper, m *kernel.OverlayMount) error {
	base := b.scratch
	prefix := strconv.Itoa(b.uppers)
	if u.Dir != "" {
		fd, err := kernel.OpenHost(u.Dir)
		if err != nil {
			return err
		}
		base, prefix = b.hold(fd), ""
	}
	b.uppers++
	for _, d := range []struct {
		name string
		into *kernel.FD
	}{{"upper", &m.Upper}, {"work", &m.Work}} {
		if err := kernel.Mkdir(base, d.name+prefix, 0o755, 0, 0); err != nil {
			return err
		}
		fd, err := kernel.OpenIn(base, d.name+prefix, unix.O_PATH|unix.O_DIRECTORY)
		if err != nil {
			return err
		}
		*d.into = b.hold(fd)
	}
	return nil
}
