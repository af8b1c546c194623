package broker

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/sys/unix"

	"ninefold/namespaces/kernel"
	"ninefold/sessiond/broker/program"
	"ninefold/sessiond/broker/wire"
)

// place decides where a command starts: in the caller's directory, if that is
// the same place on the host, otherwise in the target's home.
func (b *Broker) place(who *caller, c *command, files []wire.FD) {
	if c.shell || c.request.Dir == "" {
		return
	}
	at := len(files) - 1
	if c.request.File > 0 {
		at--
	}
	dir := c.request.Dir
	elsewhere := func(why string) {
		c.notices = append(c.notices, fmt.Sprintf("%s %s; the command starts in %s", plain(dir), why, c.home()))
	}
	f, err := b.sameFile(dir, files[at], who)
	switch {
	case err == nil && c.target.UID != 0 && !literal(dir):
		f.Close()
		elsewhere("has a name that systemd could take for more")
	case err != nil:
		elsewhere("is not the same place on the host")
	case literal(dir) && (c.target.UID == who.peer.UID || program.Fixed(dir)):
		// Who could put another directory in its place gains nothing by it.
		f.Close()
		c.dir = dir
	case c.target.UID == 0:
		// By the descriptor: a path could lead elsewhere by the time that systemd
		// follows it, with root's access (CVE-2024-21626 the other way round).
		c.place, c.dir = f, fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), f.Fd())
	default:
		f.Close()
		elsewhere("could be replaced by others than root and " + c.target.Name)
	}
}

// literal reports whether a path means itself in a line of a unit's file:
// systemd writes a transient unit's settings there as they came, and reads them
// again with daemon-reload. A new line in one would begin another setting, and a
// backslash at its end would swallow the next.
func literal(name string) bool {
	return utf8.ValidString(name) && !strings.ContainsFunc(name, func(r rune) bool { return r == '\\' || !unicode.IsPrint(r) })
}

func (c *command) home() string {
	if c.target.Home == "" {
		return "/"
	}
	return c.target.Home
}

// maxLookups bounds how many paths are looked up for one user at a time: the
// user can have mounted there what never answers.
const (
	maxLookups    = 4
	lookupTimeout = time.Second
	// lookupWait is how long one waits behind others of the same user.
	lookupWait = 10 * time.Second
)

var errLookups = errors.New("the file system does not answer")

// sameFile opens name on the host (O_PATH), in the host's mount namespace and
// with the caller's file access, if it is the file that the caller has open as
// theirs.
func (b *Broker) sameFile(name string, theirs wire.FD, who *caller) (*os.File, error) {
	if !filepath.IsAbs(name) || filepath.Clean(name) != name {
		return nil, fmt.Errorf("%s is no absolute path without detours", plain(name))
	}
	// Hundreds of commands at once take their turns; it is answers that are not
	// waited for.
	turn, cancel := context.WithTimeout(context.Background(), lookupWait)
	defer cancel()
	leave, err := b.limits.lookup(turn, who.peer.UID)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", plain(name), errLookups)
	}
	want, err := fileOf(int(theirs))
	if err != nil {
		leave()
		return nil, fmt.Errorf("%s: %w", plain(name), err)
	}
	type found struct {
		f   *os.File
		err error
	}
	done := make(chan found, 1)
	go func() {
		defer leave()
		f, err := b.openOnHost(name, who)
		done <- found{f, err}
	}()
	select {
	case r := <-done:
		if r.err != nil {
			return nil, fmt.Errorf("%s on the host: %w", plain(name), r.err)
		}
		got, err := fileOf(int(r.f.Fd()))
		if err == nil && got != want {
			err = errors.New("it is another file")
		}
		if err != nil {
			r.f.Close()
			return nil, fmt.Errorf("%s on the host: %w", plain(name), err)
		}
		return r.f, nil
	case <-time.After(lookupTimeout):
		go func() {
			if r := <-done; r.f != nil {
				r.f.Close()
			}
		}()
		return nil, fmt.Errorf("%s: %w", plain(name), errLookups)
	}
}

// file names a file for as long as it is open.
type file struct {
	ino          uint64
	major, minor uint32
	kind         uint16
}

// fileOf says which file a descriptor is of. No file system is asked for it
// (AT_STATX_DONT_SYNC): one of the user's own might not answer.
func fileOf(fd int) (file, error) {
	var st unix.Statx_t
	err := unix.Statx(fd, "", unix.AT_EMPTY_PATH|unix.AT_STATX_DONT_SYNC, unix.STATX_INO|unix.STATX_TYPE, &st)
	return file{st.Ino, st.Dev_major, st.Dev_minor, st.Mode & unix.S_IFMT}, err
}

func (b *Broker) openOnHost(name string, who *caller) (f *os.File, err error) {
	host, err := b.Host()
	if err != nil {
		return nil, err
	}
	defer host.Close()
	err = kernel.InMountNamespace(kernel.FD(host.Fd()), func() error {
		return kernel.AsUser(who.user.UID, who.user.GID, who.user.Groups, func() error {
			fd, err := unix.Open(name, unix.O_PATH|unix.O_CLOEXEC, 0)
			if err == nil {
				f = os.NewFile(uintptr(fd), name)
			}
			return err
		})
	})
	return f, err
}
