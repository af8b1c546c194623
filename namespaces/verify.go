package namespaces

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"ninefold/namespaces/kernel"
)

// verify tries, inside the finished root and before any process of the session
// exists, what must fail: reaching the host's root and writing where the plan
// says read-only. It also makes sure that what will be executed as the first
// process is the program that the plan bound, whatever the root's links say.
func (b *builder) verify() error {
	if err := b.verifyRoot(); err != nil {
		return err
	}
	for _, p := range b.readonly {
		if kernel.CanWrite(p.fd) {
			return fmt.Errorf("%w: %s can be written although it is read-only", ErrRefused, p.name)
		}
	}
	return b.verifyInit()
}

func (b *builder) verifyRoot() error {
	var seen [2][2]uint64
	for i, name := range []string{"/", "/.."} {
		fd, err := kernel.OpenHost(name)
		if err != nil {
			return err
		}
		seen[i][0], seen[i][1], err = kernel.MountID(fd)
		fd.Close()
		if err != nil {
			return err
		}
	}
	if seen[0] != seen[1] || seen[0][0] == b.hostRoot {
		return fmt.Errorf("%w: the host's root can still be reached from /", ErrRefused)
	}
	return nil
}

func (b *builder) verifyInit() error {
	fd, err := kernel.OpenHost(InitPath)
	if err != nil {
		return fmt.Errorf("the session's first process is missing: %w (build it with `make build`)", err)
	}
	defer fd.Close()
	var st unix.Stat_t
	if err := unix.Fstat(fd.Int(), &st); err != nil {
		return fmt.Errorf("stat %s: %w", InitPath, err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG || st.Mode&0o022 != 0 {
		return fmt.Errorf("%w: %s is not a plain file that its owner alone can write", ErrRefused, InitPath)
	}
	if uid := uint32(os.Getuid()); st.Uid != 0 && st.Uid != uid {
		return fmt.Errorf("%w: %s belongs to uid %d, not to root", ErrRefused, InitPath, st.Uid)
	}
	return nil
}
