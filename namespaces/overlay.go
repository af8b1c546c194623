package namespaces

import (
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"ninefold/namespaces/kernel"
	"ninefold/namespaces/plan"
)

// layerKey is what one mount of a layer depends on.
type layerKey struct {
	kind         plan.LayerKind
	source, data string
	loop         bool
}

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
	lowers := op.Lowers
	if n := nested(lowers); n > 0 {
		inner, err := b.inner(lowers[:n])
		if err != nil {
			return err
		}
		if inner != kernel.None {
			m.Lowers = append(m.Lowers, inner)
		}
		lowers = lowers[n:]
	}
	if err := b.addLowers(lowers, false, &m); err != nil {
		return err
	}
	if op.Upper != nil {
		if err := b.openUpper(*op.Upper, &m); err != nil {
			return err
		}
	} else if err := b.padLowers(&m); err != nil {
		return err
	}
	mnt, err := kernel.NewOverlay(m, b.have)
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

// nested returns how many of the topmost layers lie, with their content,
// inside the directory of a layer below them, mostly the host's "/". The kernel
// refuses such layers beside each other (ELOOP), but not stacked.
func nested(layers []plan.Layer) int {
	for i := len(layers) - 1; i > 0; i-- {
		dir := layers[i].Source
		if layers[i].Kind != plan.LayerDir {
			continue
		}
		for n := i; n > 0; n-- {
			if within(layers[n-1].Source, dir) || within(layers[n-1].Data, dir) {
				return n
			}
		}
	}
	return 0
}

func within(name, dir string) bool {
	return name != "" && name != dir && strings.HasPrefix(name, strings.TrimSuffix(dir, "/")+"/")
}

// inner mounts layers as a read-only overlay of their own, to serve as one
// lower. Stacking is limited to two levels, which an erofs mounted from a file
// would use up: it goes on a loop device here.
func (b *builder) inner(layers []plan.Layer) (kernel.FD, error) {
	m := kernel.OverlayMount{Upper: kernel.None, Work: kernel.None, Attr: kernel.ReadOnly, Source: "ninefold"}
	if err := b.addLowers(layers, true, &m); err != nil || len(m.Lowers) == 0 {
		return kernel.None, err
	}
	if err := b.padLowers(&m); err != nil {
		return kernel.None, err
	}
	mnt, err := kernel.NewOverlay(m, b.have)
	if err != nil {
		return kernel.None, err
	}
	b.hold(mnt)
	b.places++
	at, err := b.scratchDir("inner" + strconv.Itoa(b.places))
	if err != nil {
		return kernel.None, err
	}
	return mnt, kernel.Attach(mnt, at, "inner overlay")
}

// padLowers gives a read-only overlay the second layer that the kernel wants.
func (b *builder) padLowers(m *kernel.OverlayMount) error {
	if len(m.Lowers)+len(m.Data) > 1 {
		return nil
	}
	empty, err := b.scratchDir("empty")
	if err != nil {
		return err
	}
	m.Lowers = append([]kernel.FD{empty}, m.Lowers...)
	return nil
}

// addLowers opens layers and adds them, and below them their content, to m.
func (b *builder) addLowers(layers []plan.Layer, loop bool, m *kernel.OverlayMount) error {
	var ordinary []kernel.FD // object directories as ordinary lowers
	seen := map[kernel.FD]bool{}
	for _, l := range layers {
		opened, err := b.openLayer(l, loop)
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
	return nil
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

func (b *builder) scratchDir(name string) (kernel.FD, error) { return b.dirIn(b.scratch, name) }

// openLayer opens a layer once, however many overlays use it.
func (b *builder) openLayer(l plan.Layer, loop bool) (layer, error) {
	key := layerKey{l.Kind, l.Source, l.Data, loop}
	if have, ok := b.layers[key]; ok {
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
		if !b.have.DataOnly {
			return layer{}, fmt.Errorf("%w: data-only overlay layers need Linux 6.5", ErrUnsupported)
		}
		if loop {
			opened.root, err = mountLoop(source, l.Source)
		} else {
			opened.root, err = kernel.NewMount("erofs", kernel.ReadOnly, kernel.Text("source", l.Source))
		}
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
	b.layers[key] = opened
	return opened, nil
}

func (b *builder) openData(dir string) (kernel.FD, error) {
	for key, opened := range b.layers {
		if key.data == dir {
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
	return kernel.NewMount("erofs", kernel.ReadOnly, kernel.Flag("ro"), kernel.Text("source", path))
}

// openUpper prepares the writable layer: "upper" and "work" below a kept
// directory or the scratch tmpfs, apart by the upper's name.
func (b *builder) openUpper(u plan.Upper, m *kernel.OverlayMount) error {
	m.Volatile = u.Dir == ""
	base := b.scratch
	if u.Dir != "" {
		fd, err := kernel.OpenHost(u.Dir)
		if err != nil {
			return err
		}
		base = b.hold(fd)
	}
	if u.Name != "" {
		dir, err := b.dirIn(base, u.Name)
		if err != nil {
			return err
		}
		base = dir
	}
	var err error
	if m.Upper, err = b.dirIn(base, "upper"); err != nil {
		return err
	}
	m.Work, err = b.dirIn(base, "work")
	return err
}

// dirIn makes and opens a directory in one that only root can write.
func (b *builder) dirIn(parent kernel.FD, name string) (kernel.FD, error) {
	if err := kernel.Mkdir(parent, name, 0o755, 0, 0); err != nil {
		return kernel.None, err
	}
	fd, err := kernel.OpenIn(parent, name, unix.O_PATH|unix.O_DIRECTORY)
	if err != nil {
		return kernel.None, err
	}
	return b.hold(fd), nil
}
