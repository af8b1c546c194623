package namespaces

import (
	"errors"
	"fmt"
	"os"
	"strconv"

	"ninefold/namespaces/kernel"
)

// GuestHall returns a new mount namespace for the login program of a guest: that
// of host, in which nothing can be executed (mount flag noexec, mount(8)) but
// program, the guest's stand-in, which lies in the place of itself and of covered,
// as far as they are there: shells and session scripts that login programs start.
// home is an empty directory that the guest can write to, in memory. It lasts for
// as long as the returned file, which is the caller's, or a process in it. The
// caller needs CAP_SYS_ADMIN, and vouches that all paths are root's.
func GuestHall(host *os.File, program string, covered []string, home string, uid uint32) (*os.File, error) {
	made, err := onceMore(host, "vestibule of a guest", func() error { return furnishGuestHall(program, covered, home, uid) })
	if err != nil {
		return nil, fmt.Errorf("make the vestibule of a guest: %w", err)
	}
	return made, nil
}

func furnishGuestHall(program string, covered []string, home string, uid uint32) error {
	itself, err := kernel.OpenHost(program)
	if err != nil {
		return err
	}
	defer itself.Close()
	// Copies of the mount as it is now, before it loses what it is for.
	covers := map[string]kernel.FD{}
	defer func() {
		for _, fd := range covers {
			fd.Close()
		}
	}()
	for _, name := range append([]string{program}, covered...) {
		st, err := os.Stat(name)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		if err != nil || !st.Mode().IsRegular() {
			continue // nothing that could be started
		}
		if covers[name], err = kernel.OpenTree(itself, false); err != nil {
			return err
		}
	}
	root, err := kernel.OpenHost("/")
	if err != nil {
		return err
	}
	defer root.Close()
	if err := kernel.SetAttr(root, kernel.NoExec|kernel.NoSuid, true); err != nil {
		return err
	}
	for name, fd := range covers {
		if err := attachAt(fd, name); err != nil {
			return err
		}
	}
	id := strconv.FormatUint(uint64(uid), 10)
	own, err := kernel.NewMount("tmpfs", kernel.NoSuid|kernel.NoDev|kernel.NoExec, kernel.Text("mode", "0700"), kernel.Text("size", "1m"),
		kernel.Text("uid", id), kernel.Text("gid", id))
	if err != nil {
		return err
	}
	defer own.Close()
	return attachAt(own, home)
}

// attachAt puts a mount over what is at name now.
func attachAt(mnt kernel.FD, name string) error {
	at, err := kernel.OpenHost(name)
	if err != nil {
		return err
	}
	defer at.Close()
	return kernel.Attach(mnt, at, name)
}
