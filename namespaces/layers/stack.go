// Package layers mounts the layers of a plan and joins them to overlays. It
// works on the calling thread's mount namespace, inside kernel.OnThread, and
// leaves nothing behind when that thread is gone.
package layers

import (
	"errors"
	"strconv"

	"golang.org/x/sys/unix"

	"ninefold/namespaces/kernel"
	"ninefold/namespaces/plan"
)

// ErrUnsupported: this kernel cannot mount a layer of that kind.
var ErrUnsupported = errors.New("not supported on this machine")

// Stack makes overlays that share layers, and a tmpfs for what they need to
// write: throw-away uppers, and places to attach to. Its descriptors are
// closed by Close; the overlays it returned live on.
type Stack struct {
	// Have is what the kernel's overlay can; New asks the kernel.
	Have kernel.OverlayFeatures
	// IDs is a user namespace whose ids those of the layers become, and None for
	// layers whose ids are the host's. The overlays are then to be mounted as that
	// namespace's root (kernel.AsRootOf). It stays the caller's.
	IDs kernel.FD
	// First is the first of those ids.
	First uint32

	scratch kernel.FD
	veil    kernel.FD // hides object directories; see veilObjects
	layers  map[layerKey]layer
	held    []kernel.FD
	places  int
	kept    bool // an upper lies elsewhere
}

// New attaches the stack's tmpfs at the host's directory at, where only the
// calling thread's mount namespace sees it. size bounds it in bytes; 0 is the
// kernel's default.
func New(at string, size int64) (*Stack, error) {
	options := []kernel.Option{kernel.Text("mode", "0700")}
	if size > 0 {
		options = append(options, kernel.Text("size", strconv.FormatInt(size, 10)))
	}
	mnt, err := kernel.NewMount("tmpfs", 0, options...)
	if err != nil {
		return nil, err
	}
	s := &Stack{Have: kernel.Overlay(), IDs: kernel.None, scratch: mnt, veil: kernel.None, layers: map[layerKey]layer{}, held: []kernel.FD{mnt}}
	place, err := kernel.OpenHost(at)
	if err == nil {
		err = kernel.Attach(mnt, place, at)
		place.Close()
	}
	if err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// Close lets go of every descriptor.
func (s *Stack) Close() {
	for i := len(s.held) - 1; i >= 0; i-- {
		s.held[i].Close()
	}
	s.held = nil
}

// Detach takes the tmpfs, with every layer attached below it, out of the
// namespace at once, not only when the kernel takes that apart.
func (s *Stack) Detach() error { return kernel.Detach(s.scratch, "the layers") }

// Dir makes an empty directory on the tmpfs, a place to attach a mount at. It
// is the stack's; name begins its name.
func (s *Stack) Dir(name string) (kernel.FD, error) {
	s.places++
	return s.dirIn(s.scratch, name+strconv.Itoa(s.places))
}

// Stamp makes a directory on the tmpfs, the last thing that its maker makes
// there, and opens the tmpfs for whoever is to look into it later.
func (s *Stack) Stamp(name string) (kernel.FD, error) {
	if err := kernel.Mkdir(s.scratch, name, 0o700, 0, 0); err != nil {
		return kernel.None, err
	}
	return kernel.OpenIn(s.scratch, ".", unix.O_RDONLY|unix.O_DIRECTORY)
}

// Kept reports whether what is written to the overlays goes elsewhere than to
// the tmpfs.
func (s *Stack) Kept() bool { return s.kept }

func (s *Stack) hold(fd kernel.FD) kernel.FD {
	s.held = append(s.held, fd)
	return fd
}

// dirIn makes and opens a directory in one that only root can write.
func (s *Stack) dirIn(parent kernel.FD, name string) (kernel.FD, error) {
	if err := kernel.Mkdir(parent, name, 0o755, 0, 0); err != nil {
		return kernel.None, err
	}
	fd, err := kernel.OpenIn(parent, name, unix.O_PATH|unix.O_DIRECTORY)
	if err != nil {
		return kernel.None, err
	}
	return s.hold(fd), nil
}

// upper prepares a writable layer: "upper" and "work" below a kept directory
// or the tmpfs, apart by the upper's name.
func (s *Stack) upper(u plan.Upper, m *kernel.OverlayMount) error {
	m.Volatile = u.Dir == ""
	base := s.scratch
	if u.Dir != "" {
		s.kept = true
		fd, err := kernel.OpenHost(u.Dir)
		if err != nil {
			return err
		}
		base = s.hold(fd)
	}
	if u.Dir != "" && s.IDs != kernel.None {
		return s.mappedUpper(base, u, m)
	}
	if u.Name != "" {
		dir, err := s.dirIn(base, u.Name)
		if err != nil {
			return err
		}
		base = dir
	}
	var err error
	if m.Upper, err = s.dirIn(base, "upper"); err != nil {
		return err
	}
	m.Work, err = s.dirIn(base, "work")
	return err
}
