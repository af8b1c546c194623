// Package origin finds out who had a hand in a file: whoever owns it, or could put
// another one in its place.
package origin

import (
	"errors"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"ninefold/namespaces/plan"
)

// Somebody is the origin of what root owns and others can change: which of
// them did is not to be known. It is the uid of nobody.
const Somebody plan.Origin = 65534

// Open opens a file for reading and determines whose it is: root's if root owns
// it and every directory on the way to it and nobody else can write them,
// otherwise that of the first other owner. Nothing can be exchanged in between:
// each step opens the next name relative to the directory that was judged, and
// a symbolic link among the directories is followed the same way. The file
// itself may not be one: unix.ELOOP. It is not waited for, even if it is a FIFO. An error
// of the last name is that of the system call alone.
func Open(name string) (fd int, st unix.Stat_t, who plan.Origin, err error) {
	if name, err = absolute(name); err != nil {
		return -1, st, 0, err
	}
	last := strings.LastIndexByte(name, '/') + 1
	dir, base := name[:last], name[last:]
	w := &walk{name: name}
	defer w.close()
	if err := w.directory(dir); err != nil {
		return -1, st, 0, err
	}
	// O_NONBLOCK: a FIFO must not make us wait for a writer.
	if fd, err = w.open(base, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY); err != nil {
		return -1, st, 0, err
	}
	if st, err = w.judge(fd); err != nil {
		unix.Close(fd)
		return -1, st, 0, err
	}
	return fd, st, w.origin, nil
}

func absolute(name string) (string, error) {
	if strings.HasPrefix(name, "/") {
		return name, nil
	}
	dir, err := os.Getwd()
	return dir + "/" + name, err
}

// Of says whose a file or directory is, as Open does of what it opens:
// root's, or that of the first other uid who can change it or put another in
// its place. Links are followed.
func Of(name string) (plan.Origin, error) {
	name, err := absolute(name)
	if err != nil {
		return 0, err
	}
	w := &walk{name: name}
	defer w.close()
	err = w.directory(name)
	if !errors.Is(err, unix.ENOTDIR) {
		return w.origin, err
	}
	// A file: every directory and link on the way has been judged, so what the
	// name means now is what it meant then unless it is somebody's already.
	fd, err := unix.Open(name, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return w.origin, &os.PathError{Op: "open", Path: name, Err: err}
	}
	defer unix.Close(fd)
	_, err = w.judge(fd)
	return w.origin, err
}

// walk goes down to a file and remembers the first owner that is not root.
type walk struct {
	name   string
	at     int // the directory reached
	opened bool
	origin plan.Origin
	links  int
	// loose is set when the directory reached is one that others can write,
	// with the sticky bit.
	loose bool
}

func (w *walk) close() {
	if w.opened {
		unix.Close(w.at)
		w.opened = false
	}
}

func (w *walk) enter(fd int) error {
	w.close()
	w.at, w.opened = fd, true
	_, err := w.judge(fd)
	return err
}

// open opens a name in the directory reached, and no link.
func (w *walk) open(name string, flags int) (int, error) {
	for {
		fd, err := unix.Openat(w.at, name, flags|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		if err != unix.EINTR {
			return fd, err
		}
	}
}

// directory walks to dir, which begins with a slash.
func (w *walk) directory(dir string) error {
	rest := strings.Split(dir, "/")
	if err := w.root(); err != nil {
		return err
	}
	for len(rest) > 0 {
		name := rest[0]
		rest = rest[1:]
		if name == "" || name == "." {
			continue
		}
		fd, err := w.open(name, unix.O_PATH|unix.O_DIRECTORY)
		if err == unix.ENOTDIR || err == unix.ELOOP {
			text, lerr := w.readlink(name)
			if lerr != nil {
				return &os.PathError{Op: "open", Path: w.name, Err: err}
			}
			if strings.HasPrefix(text, "/") {
				if err := w.root(); err != nil {
					return err
				}
			}
			rest = append(strings.Split(text, "/"), rest...)
			continue
		}
		if err != nil {
			return &os.PathError{Op: "open", Path: w.name, Err: err}
		}
		if err := w.enter(fd); err != nil {
			return err
		}
	}
	return nil
}

func (w *walk) root() error {
	fd, err := unix.Open("/", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return &os.PathError{Op: "open", Path: "/", Err: err}
	}
	return w.enter(fd)
}

// readlink reads the link called name in the directory reached. Who could have
// put it there follows from the directory, unless that is a sticky one.
func (w *walk) readlink(name string) (string, error) {
	if w.links++; w.links > 40 {
		return "", unix.ELOOP
	}
	fd, err := w.open(name, unix.O_PATH)
	if err != nil {
		return "", err
	}
	defer unix.Close(fd)
	loose := w.loose
	if _, err := w.judge(fd); err != nil {
		return "", err
	}
	w.loose = loose
	buf := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(fd, "", buf)
	if err != nil {
		return "", err
	}
	return string(buf[:n]), nil
}

// judge notes who can change the file behind fd. POSIX ACLs need no look of
// their own: their mask stands in the group's bits.
func (w *walk) judge(fd int) (unix.Stat_t, error) {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return st, &os.PathError{Op: "fstat", Path: w.name, Err: err}
	}
	kind := st.Mode & unix.S_IFMT
	open := st.Mode&0o022 != 0 && kind != unix.S_IFLNK
	sticky := kind == unix.S_IFDIR && st.Mode&unix.S_ISVTX != 0
	// In root's sticky directory (/tmp) others can make files, which their
	// owner gives away, and cannot touch root's. But they can make a hard link
	// to a file of root's that has another purpose.
	linked := w.loose && kind == unix.S_IFREG && st.Nlink > 1
	w.loose = open && sticky
	switch {
	case w.origin != 0:
	case st.Uid != 0:
		w.origin = plan.Origin(st.Uid)
	case open && !sticky || linked:
		w.origin = Somebody
	}
	return st, nil
}
