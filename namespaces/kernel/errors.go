package kernel

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

// Error is a failed kernel operation.
type Error struct {
	Op    string // "mount overlay", "bind"
	Path  string // what it was done on; may be empty
	Flags string // decoded flags; may be empty
	Hint  string // what to do, where that is known; may be empty
	Err   error  // a unix.Errno, mostly
}

// Error gives operation, path, flags and cause in one line. The hint is left
// to whoever shows the error to a person: see Hint.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Op)
	if e.Path != "" {
		fmt.Fprintf(&b, " %s", e.Path)
	}
	if e.Flags != "" {
		fmt.Fprintf(&b, " (%s)", e.Flags)
	}
	fmt.Fprintf(&b, ": %v", e.Err)
	return b.String()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Hint returns what to do about err, or "" when nothing is known.
func Hint(err error) string {
	var e *Error
	if !errors.As(err, &e) {
		return ""
	}
	if e.Hint != "" {
		return e.Hint
	}
	if errors.Is(e.Err, unix.EACCES) {
		return "its permissions, or those of a directory above it, keep the one out whom it is opened for"
	}
	if errors.Is(e.Err, unix.EPERM) {
		return "this needs root (CAP_SYS_ADMIN); run it as root or through sudo, and not inside an unprivileged container"
	}
	if errors.Is(e.Err, unix.ENOSYS) {
		return "this kernel is too old: Linux 5.12 or newer is needed"
	}
	return ""
}

func fail(op, path, flags string, err error) error {
	if err == nil {
		return nil
	}
	return &Error{Op: op, Path: path, Flags: flags, Err: err}
}

// retry repeats f while a signal interrupts it (signal(7)).
func retry(f func() error) error {
	for {
		if err := f(); err != unix.EINTR {
			return err
		}
	}
}

type flagName struct {
	bit  uint64
	name string
}

func decode(v uint64, names []flagName) string {
	var words []string
	for _, n := range names {
		if v&n.bit != 0 {
			words = append(words, n.name)
			v &^= n.bit
		}
	}
	if v != 0 {
		words = append(words, fmt.Sprintf("%#x", v))
	}
	return strings.Join(words, ",")
}

var mountAttrNames = []flagName{
	{unix.MOUNT_ATTR_RDONLY, "ro"},
	{unix.MOUNT_ATTR_NOSUID, "nosuid"},
	{unix.MOUNT_ATTR_NODEV, "nodev"},
	{unix.MOUNT_ATTR_NOEXEC, "noexec"},
}

var namespaceNames = []flagName{
	{unix.CLONE_NEWNS, "mount"},
	{unix.CLONE_NEWIPC, "ipc"},
	{unix.CLONE_NEWUTS, "uts"},
	{unix.CLONE_NEWPID, "pid"},
	{unix.CLONE_NEWNET, "net"},
	{unix.CLONE_NEWUSER, "user"},
	{unix.CLONE_NEWCGROUP, "cgroup"},
	{unix.CLONE_FS, "fs"},
}
