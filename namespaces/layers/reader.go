package layers

import (
	"ninefold/namespaces/kernel"
	"ninefold/namespaces/plan"
)

// nobody is an id that no file has which a range of ids shows, and which is none of
// an account's: what stands for a reader whose own is outside of the range.
const nobody = kernel.RangeSize - 1

// readBy returns dir, a directory with the stack's ids, as a read-only overlay that
// looks into it as a user: whoever looks into that, root too, gets no further than
// the user would. Files look as in dir, so an overlay above it can copy them up.
func (s *Stack) readBy(dir kernel.FD, r plan.Reader) (kernel.FD, error) {
	// Below dir, whose own directory is to be seen.
	empty, err := s.Dir("empty")
	if err != nil {
		return kernel.None, err
	}
	m := kernel.OverlayMount{Lowers: []kernel.FD{dir, empty}, Upper: kernel.None, Work: kernel.None, Attr: kernel.ReadOnly, Source: "ninefold"}
	var mnt kernel.FD
	groups := make([]uint32, len(r.Groups))
	for i, g := range r.Groups {
		groups[i] = s.shown(g)
	}
	err = kernel.AsReader(s.shown(r.UID), s.shown(r.GID), groups, func() (err error) {
		mnt, err = kernel.NewOverlay(m, s.Have)
		return err
	})
	if err != nil {
		return kernel.None, err
	}
	return s.attach(mnt, "what a user may read")
}

// shown is what an id on disk is where the stack's ids are mapped.
func (s *Stack) shown(id uint32) uint32 {
	switch {
	case s.IDs == kernel.None:
		return id
	case id >= kernel.RangeSize:
		return s.First + nobody
	}
	return s.First + id
}
