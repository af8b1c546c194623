package kernel

import (
	"os"

	"golang.org/x/sys/unix"
)

// OpenPTY makes a terminal in the devpts mounted at dir (its ptmx), so that
// its name is right inside the session. The slave belongs to uid.
func OpenPTY(root FD, ptmx string, uid uint32) (master, slave *os.File, err error) {
	m, err := OpenIn(root, ptmx, unix.O_RDWR|unix.O_NOCTTY)
	if err != nil {
		return nil, nil, err
	}
	if err := unix.IoctlSetPointerInt(int(m), unix.TIOCSPTLCK, 0); err != nil {
		m.Close()
		return nil, nil, fail("unlock a terminal", ptmx, "", err)
	}
	// TIOCGPTPEER opens the slave by descriptor: no name is looked up.
	peer, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(m), unix.TIOCGPTPEER, unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC)
	if errno != 0 {
		m.Close()
		return nil, nil, fail("open a terminal", ptmx, "", errno)
	}
	s := int(peer)
	if err := unix.Fchown(s, int(uid), -1); err != nil {
		m.Close()
		unix.Close(s)
		return nil, nil, fail("give a terminal to its user", ptmx, "", err)
	}
	// Non-blocking lets the runtime poll the master and Close end a Read.
	if err := unix.SetNonblock(int(m), true); err != nil {
		m.Close()
		unix.Close(s)
		return nil, nil, fail("prepare a terminal", ptmx, "", err)
	}
	return os.NewFile(uintptr(m), "pty"), os.NewFile(uintptr(s), "tty"), nil
}
