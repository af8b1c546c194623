package kernel

import (
	"golang.org/x/sys/unix"
)

// Place is the working directory and the umask of a thread.
type Place struct {
	dir   FD
	umask int
}

// OpenPlace notes those of the calling thread. Close it.
func OpenPlace() (Place, error) {
	fd, err := unix.Open(".", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return Place{dir: None}, fail("open", ".", "", err)
	}
	mask := unix.Umask(0o077) // there is no other way to read it
	unix.Umask(mask)
	return Place{FD(fd), mask}, nil
}

// Return gives them back to the calling thread, which is in the mount namespace
// it was in then.
func (p Place) Return() error {
	unix.Umask(p.umask)
	return fail("go back to the directory of the caller", "", "", unix.Fchdir(int(p.dir)))
}

// Close forgets them.
func (p *Place) Close() { p.dir.Close() }
