package manager

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"ninefold/namespaces/plan"
	"ninefold/roots/fileimage"
	"ninefold/sessiond/origin"
	"ninefold/sessiond/profile"
)

// ErrFileBase says that a session cannot stand on an image file.
var ErrFileBase = errors.New("a session cannot stand on this file")

// composeFile makes a session stand on an erofs file. The kernel believes what is in it, so
// it has to be root's alone, like the store, and so has the profile that names it:
// root's files hold much that others wrote.
func (m *Manager) composeFile(p *profile.Profile, file string) (*composition, error) {
	if p.Origin != 0 {
		return nil, fmt.Errorf("%w: %s: uid %d had a hand in the profile, and only root's can name an image file", ErrFileBase, file, p.Origin)
	}
	fd, st, who, err := origin.Open(file)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrFileBase, file, err)
	}
	f := os.NewFile(uintptr(fd), file)
	defer f.Close()
	if who != 0 {
		return nil, fmt.Errorf("%w: %s: uid %d can change it, or a directory above it", ErrFileBase, file, who)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return nil, fmt.Errorf("%w: %s: no regular file", ErrFileBase, file)
	}
	i, err := fileimage.Read(f)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFileBase, err)
	}
	facts, err := factsOf(i.Tree(), i)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrFileBase, file, err)
	}
	return &composition{layers: []plan.Layer{{Kind: plan.LayerErofs, Source: file}}, image: facts, file: file,
		stack: &stack{Decision: Decision{Kind: "file", Reason: "the base is an image file"}}}, nil
}
