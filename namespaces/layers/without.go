package layers

import (
	"errors"
	"strings"

	"golang.org/x/sys/unix"

	"ninefold/namespaces/kernel"
	"ninefold/namespaces/plan"
)

// hide adds a layer that hides what l, with its root open, is to be seen
// without. Image layers over a directory that they lie in themselves are joined
// in an overlay of their own, and whiteouts do not show through that; these
// stand beside l. The directories above a hidden path look as they do in l, but
// for attributes. What is not there, or lies behind a link, needs no hiding.
func (s *Stack) hide(root kernel.FD, l plan.Layer, m *kernel.OverlayMount) error {
	veil := kernel.None
	for _, p := range l.Without {
		path, ok := inside(p, l.Sub)
		if !ok {
			continue
		}
		if veil == kernel.None {
			var err error
			if veil, err = s.Dir("without"); err != nil {
				return err
			}
			m.Lowers = append(m.Lowers, veil)
		}
		dir, name, err := kernel.ParentLike(root, veil, path)
		if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP) {
			continue
		}
		if err != nil {
			return err
		}
		err = kernel.Mknod(dir, name, 0, 0, 0)
		dir.Close()
		if err != nil && !errors.Is(err, unix.EEXIST) {
			return err
		}
	}
	return nil
}

// inside cuts the directory sub off path.
func inside(path, sub string) (string, bool) {
	path = strings.TrimPrefix(path, "/")
	if sub == "" {
		return path, true
	}
	return strings.CutPrefix(path, sub+"/")
}
