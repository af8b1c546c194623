package layers

import (
	"golang.org/x/sys/unix"

	"ninefold/namespaces/kernel"
	"ninefold/namespaces/plan"
)

// mapped returns the directory dir with the ids of the stack's user namespace.
func (s *Stack) mapped(dir kernel.FD, name string) (kernel.FD, error) {
	if s.IDs == kernel.None {
		return dir, nil
	}
	mnt, err := kernel.IDMapped(dir, s.IDs)
	if err != nil {
		return kernel.None, err
	}
	return s.attach(mnt, name)
}

// mappedUpper opens "upper" and "work" in a kept directory through one mount
// with mapped ids: an overlay wants both on the same. They have to be there,
// with the ids that they have on disk.
func (s *Stack) mappedUpper(base kernel.FD, u plan.Upper, m *kernel.OverlayMount) error {
	if u.Name != "" {
		dir, err := kernel.OpenIn(base, u.Name, unix.O_PATH|unix.O_DIRECTORY)
		if err != nil {
			return err
		}
		base = s.hold(dir)
	}
	mnt, err := s.mapped(base, u.Dir)
	if err != nil {
		return err
	}
	for _, d := range []struct {
		name string
		fd   *kernel.FD
	}{{"upper", &m.Upper}, {"work", &m.Work}} {
		fd, err := kernel.OpenIn(mnt, d.name, unix.O_PATH|unix.O_DIRECTORY)
		if err != nil {
			return err
		}
		*d.fd = s.hold(fd)
	}
	return nil
}
