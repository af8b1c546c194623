package namespaces

import (
	"errors"
	"fmt"
	"os"
	"path"

	"golang.org/x/sys/unix"

	"ninefold/namespaces/kernel"
)

// VestibuleShell is where the login shell itself lies in a vestibule
// (DOOR_SHELL of pamhook/door.h).
const VestibuleShell = "/run/ninefold/vestibule/shell"

// ErrWrapper says that ninefold-enter cannot do its work where it lies.
var ErrWrapper = errors.New("ninefold-enter has no capabilities there")

// Vestibule returns a new mount namespace equal to host, in which wrapper
// (ninefold-enter) stands in the place of shell and the shell is found at
// VestibuleShell. Mounts of the host go on appearing in it, and nothing goes
// back. It holds nothing that has to be kept: it lasts for as long as the
// returned file, which is the caller's, or a process in it. The caller needs
// CAP_SYS_ADMIN, and vouches that shell and wrapper are root's.
func Vestibule(host *os.File, shell, wrapper string) (*os.File, error) {
	made, err := onceMore(host, "vestibule of "+shell, func() error { return furnishVestibule(shell, wrapper) })
	if err != nil {
		return nil, fmt.Errorf("make a vestibule for %s: %w", shell, err)
	}
	return made, nil
}

// onceMore returns a new mount namespace, called name, that is host once more as
// furnish leaves it.
func onceMore(host *os.File, name string, furnish func() error) (made *os.File, err error) {
	err = kernel.OnThread(func() error {
		// The first one is for a root of this thread's own, as setns(2) wants it.
		if err := kernel.Unshare(unix.CLONE_NEWNS); err != nil {
			return err
		}
		if err := kernel.EnterMountNamespace(kernel.FD(host.Fd())); err != nil {
			return err
		}
		if err := kernel.Unshare(unix.CLONE_NEWNS); err != nil {
			return err
		}
		if err := kernel.ReceiveMounts(); err != nil {
			return err
		}
		if err := furnish(); err != nil {
			return err
		}
		ns, err := kernel.MountNamespace()
		if err != nil {
			return err
		}
		made = os.NewFile(uintptr(ns), name)
		return nil
	})
	return made, err
}

func furnishVestibule(shell, wrapper string) error {
	at, err := kernel.OpenHost(shell)
	if err != nil {
		return err
	}
	defer at.Close()
	enter, err := kernel.OpenHost(wrapper)
	if err != nil {
		return err
	}
	defer enter.Close()
	if err := checkWrapper(enter, wrapper); err != nil {
		return err
	}
	itself, err := kernel.OpenTree(at, false)
	if err != nil {
		return err
	}
	defer itself.Close()
	cover, err := kernel.OpenTree(enter, false)
	if err != nil {
		return err
	}
	defer cover.Close()

	dir := path.Dir(VestibuleShell)
	if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, unix.EEXIST) {
		return err
	}
	place, err := kernel.OpenHost(dir)
	if err != nil {
		return err
	}
	defer place.Close()
	hall, err := kernel.NewMount("tmpfs", kernel.NoSuid|kernel.NoDev, kernel.Text("mode", "0755"), kernel.Text("size", "64k"))
	if err != nil {
		return err
	}
	defer hall.Close()
	inside, err := kernel.TouchIn(hall, path.Base(VestibuleShell))
	if err != nil {
		return err
	}
	defer inside.Close()
	if err := kernel.Attach(hall, place, dir); err != nil {
		return err
	}
	if err := kernel.Attach(itself, inside, VestibuleShell); err != nil {
		return err
	}
	return kernel.Attach(cover, at, shell)
}

// checkWrapper refuses a wrapper that could only ever say no.
func checkWrapper(fd kernel.FD, name string) error {
	flags, err := kernel.Forbidden(fd)
	if err != nil {
		return err
	}
	if flags&(kernel.NoSuid|kernel.NoExec) != 0 {
		return fmt.Errorf("%s is on a file system mounted %s: %w", name, flags, ErrWrapper)
	}
	if _, err := unix.Getxattr(name, "security.capability", nil); err != nil {
		return fmt.Errorf("%s: %w: %w", name, ErrWrapper, err)
	}
	return nil
}
