package layers

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"ninefold/namespaces/kernel"
	"ninefold/namespaces/plan"
)

// Union mounts an overlay of lowers, topmost first, detached. A nil upper
// makes it read-only. The mount is the caller's.
func (s *Stack) Union(lowers []plan.Layer, upper *plan.Upper, attr kernel.Attr) (kernel.FD, error) {
	m := kernel.OverlayMount{Upper: kernel.None, Work: kernel.None, Attr: attr, Source: "ninefold"}
	if n := nested(lowers); n > 0 && !written(lowers) {
		inner, err := s.inner(lowers[:n])
		if err != nil {
			return kernel.None, err
		}
		if inner != kernel.None {
			m.Lowers = append(m.Lowers, inner)
		}
		lowers = lowers[n:]
	}
	if err := s.add(lowers, false, &m); err != nil {
		return kernel.None, err
	}
	if upper != nil {
		if err := s.upper(*upper, &m); err != nil {
			return kernel.None, err
		}
	} else {
		m.Attr |= kernel.ReadOnly
		if err := s.pad(&m); err != nil {
			return kernel.None, err
		}
	}
	return kernel.NewOverlay(m, s.Have)
}

// nested returns how many of the topmost layers lie, with their content,
// inside the directory of a layer below them, mostly the host's "/". The kernel
// refuses such layers beside each other (ELOOP), but not stacked.
func nested(layers []plan.Layer) int {
	for i := len(layers) - 1; i > 0; i-- {
		dir := layers[i].Source
		if layers[i].Kind != plan.LayerDir || layers[i].Reader != nil { // that is an overlay itself
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

// written reports whether one of the layers is what an overlay wrote. What hides
// something in it does so beside the layers below alone, so that these become an
// overlay of their own where others lie in them: see apart.
func written(layers []plan.Layer) bool {
	return slices.ContainsFunc(layers, func(l plan.Layer) bool { return l.Kind == plan.LayerUpper })
}

// surrounds reports whether one of the layers lies in l.
func surrounds(l plan.Layer, layers []plan.Layer) bool {
	return l.Kind == plan.LayerDir && slices.ContainsFunc(layers, func(o plan.Layer) bool { return within(o.Source, l.Source) || within(o.Data, l.Source) })
}

// apart is a directory as a read-only overlay of its own, beside which what lies in
// it can be a layer.
func (s *Stack) apart(root kernel.FD) (kernel.FD, error) {
	m := kernel.OverlayMount{Lowers: []kernel.FD{root}, Upper: kernel.None, Work: kernel.None, Attr: kernel.ReadOnly, Source: "ninefold"}
	return s.asLayer(m)
}

// asLayer mounts a read-only overlay that is to be a layer.
func (s *Stack) asLayer(m kernel.OverlayMount) (kernel.FD, error) {
	if err := s.pad(&m); err != nil {
		return kernel.None, err
	}
	mnt, err := kernel.NewOverlay(m, s.Have)
	if err != nil {
		return kernel.None, err
	}
	return s.attach(mnt, "inner overlay")
}

// inner mounts layers as a read-only overlay of their own, to serve as one
// lower; None when none of them has anything. Stacking is limited to two
// levels, which an erofs mounted from a file would use up: it goes on a loop
// device here.
func (s *Stack) inner(layers []plan.Layer) (kernel.FD, error) {
	m := kernel.OverlayMount{Upper: kernel.None, Work: kernel.None, Attr: kernel.ReadOnly, Source: "ninefold"}
	if err := s.add(layers, true, &m); err != nil || len(m.Lowers) == 0 {
		return kernel.None, err
	}
	return s.asLayer(m)
}

// attach puts a mount somewhere below the tmpfs: kernels before 6.15 take only
// layers that are attached.
func (s *Stack) attach(mnt kernel.FD, name string) (kernel.FD, error) {
	s.hold(mnt)
	at, err := s.Dir("layer")
	if err != nil {
		return kernel.None, err
	}
	return mnt, kernel.Attach(mnt, at, name)
}

// pad gives a read-only overlay the second layer that the kernel wants.
func (s *Stack) pad(m *kernel.OverlayMount) error {
	if len(m.Lowers)+len(m.Data) > 1 {
		return nil
	}
	empty, err := s.Dir("empty")
	if err != nil {
		return err
	}
	m.Lowers = append([]kernel.FD{empty}, m.Lowers...)
	return nil
}

// add opens layers and adds them, and below them their content, to m.
func (s *Stack) add(layers []plan.Layer, loop bool, m *kernel.OverlayMount) error {
	var ordinary []kernel.FD // object directories as ordinary lowers
	seen := map[kernel.FD]bool{}
	for _, l := range layers {
		opened, err := s.open(l, loop)
		if err != nil {
			return fmt.Errorf("layer %s: %w", l.Source, err)
		}
		root := opened.root
		if l.Sub != "" {
			root, err = kernel.OpenIn(opened.root, "/"+l.Sub, unix.O_PATH|unix.O_DIRECTORY)
			if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) {
				continue
			}
			if err != nil {
				return fmt.Errorf("layer %s: %w", l.Source, err)
			}
			s.hold(root)
		}
		if err := s.hide(root, l, m); err != nil {
			return fmt.Errorf("layer %s: %w", l.Source, err)
		}
		if root, err = s.mapped(root, l.Source); err != nil {
			return fmt.Errorf("layer %s: %w", l.Source, err)
		}
		switch {
		case l.Reader != nil: // an overlay of its own, too
			root, err = s.readBy(root, *l.Reader)
		case written(layers) && surrounds(l, layers):
			root, err = s.apart(root)
		}
		if err != nil {
			return fmt.Errorf("layer %s: %w", l.Source, err)
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
	if len(ordinary) == 0 {
		return nil
	}
	veil, err := s.veilObjects()
	if err != nil {
		return err
	}
	m.Lowers = append(append([]kernel.FD{veil}, m.Lowers...), ordinary...)
	return nil
}

// veilObjects returns a layer that, on top of the others, hides the names in
// an object directory ("00" to "ff") with whiteouts. The metadata still finds
// its content below: redirects do not look at the layers above.
func (s *Stack) veilObjects() (kernel.FD, error) {
	if s.veil != kernel.None {
		return s.veil, nil
	}
	veil, err := s.Dir("veil")
	if err != nil {
		return kernel.None, err
	}
	for i := range 256 {
		if err := kernel.Mknod(veil, fmt.Sprintf("%02x", i), 0, 0, 0); err != nil {
			return kernel.None, err
		}
	}
	s.veil = veil
	return veil, nil
}
