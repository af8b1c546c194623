package broker

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"ninefold/namespaces/kernel"
	"ninefold/sessiond/broker/wire"
)

// safe refuses descriptors that a command must not get: a terminal, in whose
// input it could type (TIOCSTI, TIOCLINUX), a directory, from which another
// root is in reach, and those that only name a file. Files that may never answer
// are refused too: the bus and systemd close each descriptor that passes through them, and
// would wait. What is no stream may only name a file.
func safe(caller int, r *wire.Request, files []wire.FD) *refusal {
	names := [3]string{"standard input", "standard output", "standard error"}
	mistaken := func(format string, args ...any) *refusal {
		return &refusal{wire.Mistaken, fmt.Errorf(format, args...), ""}
	}
	for i, s := range r.Streams {
		if r.Detach && s == wire.OwnTerminal {
			return mistaken("%s: a detached command has no terminal", names[i])
		}
		if s != wire.Passed {
			continue
		}
		fd := int(files[0])
		files = files[1:]
		path, err := namesOnly(fd)
		if err != nil {
			return mistaken("%s: %w", names[i], err)
		}
		if path {
			return mistaken("%s is not open", names[i])
		}
		f, err := fileOf(fd)
		switch {
		case errors.Is(err, unix.EACCES): // as FUSE answers others than its user
			return &refusal{wire.Unpassable, fmt.Errorf("%s is a file that is closed to root", names[i]), "put a pipe in between: cat FILE | sessionctl host ..."}
		case err != nil:
			return mistaken("%s: %w", names[i], err)
		case f.kind == unix.S_IFDIR:
			return mistaken("%s is a directory", names[i])
		case f.kind == unix.S_IFCHR && isTerminal(fd):
			return mistaken("%s is a terminal, which is not handed over", names[i])
		case f.kind == unix.S_IFREG && !ofKernel(fd, caller):
			return &refusal{wire.Unpassable, fmt.Errorf("%s is a file in a file system that need not answer", names[i]), "put a pipe in between: cat FILE | sessionctl host ..."}
		}
	}
	for _, d := range files {
		if path, err := namesOnly(int(d)); err != nil || !path {
			return mistaken("a directory or file comes open, and not as a name")
		}
	}
	return nil
}

// namesOnly reports whether a descriptor is one of O_PATH.
func namesOnly(fd int) (bool, error) {
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
	return flags&unix.O_PATH != 0, err
}

// isTerminal is for a character device alone: of another file in FUSE the ioctl
// would ask who serves it, and that can be the caller, who need not answer.
func isTerminal(fd int) bool {
	_, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	return err == nil
}

// ofKernel reports whether the kernel serves a regular file by itself, so that
// closing it waits for nobody. The file system is not asked. The mount has to be in the
// mount table of the caller or of the host, and the table in root's hands: in a
// namespace of their own users can put one file system over another.
func ofKernel(fd, caller int) bool {
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_GET_SEALS, 0); err == nil {
		return true // in memory (fcntl(2))
	}
	mount, err := mountOf(fd)
	if err != nil {
		return false
	}
	for _, pid := range []int{caller, 1} {
		if kind, ok := mounted(pid, mount); ok {
			return !waits(kind)
		}
	}
	return false
}

// waits reports whether a file system of that type waits for a process or for
// another machine.
func waits(kind string) bool {
	for _, k := range []string{"fuse", "nfs", "cifs", "smb3"} {
		if strings.HasPrefix(kind, k) {
			return true
		}
	}
	return false
}

// mountOf returns the number of the mount that a file was opened by. No two
// mounts have the same while the file is open, whatever their namespaces.
func mountOf(fd int) (string, error) {
	b, err := os.ReadFile("/proc/self/fdinfo/" + strconv.Itoa(fd))
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(b)) {
		if id, ok := strings.CutPrefix(line, "mnt_id:"); ok {
			return strings.TrimSpace(id), nil
		}
	}
	return "", fmt.Errorf("descriptor %d has no mount", fd)
}

// maxTable bounds the mount table that is read.
const maxTable = 4 << 20

// mounted returns the type of a mount, if pid has it and its mounts are root's
// to make (proc_pid_mountinfo(5)).
func mounted(pid int, mount string) (kind string, ok bool) {
	dir, err := unix.Open("/proc/"+strconv.Itoa(pid), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", false
	}
	defer unix.Close(dir) // the process, even if its number becomes another's
	if !kernel.RootsMounts(kernel.FD(dir)) {
		return "", false
	}
	fd, err := unix.Openat(dir, "mountinfo", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", false
	}
	f := os.NewFile(uintptr(fd), "mountinfo")
	defer f.Close()
	lines := bufio.NewScanner(io.LimitReader(f, maxTable))
	lines.Buffer(nil, 64<<10)
	for lines.Scan() {
		if id, rest, _ := strings.Cut(lines.Text(), " "); id == mount {
			if _, after, found := strings.Cut(rest, " - "); found {
				kind, _, _ = strings.Cut(after, " ")
				return kind, true
			}
		}
	}
	return "", false
}
