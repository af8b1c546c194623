package kernel

import (
	"strconv"

	"golang.org/x/sys/unix"
)

// FD is an open file descriptor with close-on-exec set. Its owner closes it
// once; the zero value is not usable, None is "no descriptor".
type FD int

// None is no descriptor.
const None FD = -1

// Close closes the descriptor and makes it None. Closing None does nothing.
func (f *FD) Close() {
	if *f >= 0 {
		unix.Close(int(*f))
		*f = None
	}
}

// Int returns the number, for syscalls.
func (f FD) Int() int { return int(f) }

// Proc is a name for the open file that other syscalls take: a magic link,
// never re-resolved by name (proc(5)).
func (f FD) Proc() string { return "/proc/self/fd/" + strconv.Itoa(int(f)) }

// Duplicate returns a second descriptor of the same open file, close-on-exec.
func Duplicate(fd FD) (FD, error) {
	raw, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return None, fail("duplicate a descriptor", "", "", err)
	}
	return FD(raw), nil
}
