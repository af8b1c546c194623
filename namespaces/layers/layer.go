package layers

import (
	"fmt"

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

// open opens a layer once, however many overlays use it.
func (s *Stack) open(l plan.Layer, loop bool) (layer, error) {
	key := layerKey{l.Kind, l.Source, l.Data, loop}
	if have, ok := s.layers[key]; ok {
		return have, nil
	}
	opened := layer{data: kernel.None}
	source, err := kernel.OpenHost(l.Source)
	if err != nil {
		return layer{}, err
	}
	s.hold(source)
	if l.Data != "" {
		if opened.data, err = s.openData(l.Data); err != nil {
			return layer{}, err
		}
	}
	switch {
	case isTree(l):
		opened.root = source
	case l.Kind == plan.LayerComposefs && !s.Have.DataOnly:
		err = fmt.Errorf("%w: data-only overlay layers need Linux 6.5", ErrUnsupported)
	case l.Kind == plan.LayerComposefs && !loop:
		opened.root, err = kernel.NewMount("erofs", kernel.ReadOnly, kernel.Text("source", l.Source))
	case l.Kind == plan.LayerComposefs, l.Kind == plan.LayerLoop, l.Kind == plan.LayerErofs:
		opened.root, err = mountLoop(source, l.Source)
	default:
		err = fmt.Errorf("%w: layer kind %q", ErrUnsupported, l.Kind)
	}
	if err == nil && !isTree(l) {
		opened.root, err = s.attach(opened.root, l.Source)
	}
	if err != nil {
		return layer{}, err
	}
	s.layers[key] = opened
	return opened, nil
}

// isTree reports whether a layer is a directory of the host.
func isTree(l plan.Layer) bool { return l.Kind == plan.LayerDir || l.Kind == plan.LayerUpper }

func (s *Stack) openData(dir string) (kernel.FD, error) {
	for key, opened := range s.layers {
		if key.data == dir {
			return opened.data, nil
		}
	}
	fd, err := kernel.OpenHost(dir)
	if err != nil {
		return kernel.None, err
	}
	return s.hold(fd), nil
}

// mountLoop mounts an erofs file on a loop device. "ro" makes the file system
// itself read-only: without it the kernel opens the device for writing, which a
// read-only loop device refuses.
func mountLoop(file kernel.FD, name string) (kernel.FD, error) {
	readable, err := kernel.Reopen(file, unix.O_RDONLY)
	if err != nil {
		return kernel.None, err
	}
	defer readable.Close()
	dev, path, err := kernel.LoopDevice(readable, true)
	if err != nil {
		return kernel.None, fmt.Errorf("%s: %w", name, err)
	}
	defer dev.Close()
	return kernel.NewMount("erofs", kernel.ReadOnly, kernel.Flag("ro"), kernel.Text("source", path))
}
