package inside

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"ninefold/roots/compat"
	"ninefold/roots/contexts"
	"ninefold/sessiond/decided"
)

// HostChanged says what comes of a change of the machine's packages for who is in a
// context meanwhile: its lower layer is the machine's live files.
const HostChanged = "the machine's packages changed while this context is open: its files may be of two versions now; leave it, all of you, and enter it again"

// Stale reports whether the machine's packages changed since the root of a context
// that is live was made, and that sees it.
func (i *Roots) Stale(r contexts.Record) bool {
	l := i.live(r)
	return !r.Stands.Elsewhere() && l != nil && !l.Frozen && l.Stamp != "" && l.Stamp != compat.Stamp("/") && i.Running(r)
}

// watch tells who is in a context, once, when the machine's packages change: on a
// terminal at once, and otherwise when it is stopped.
func watch(stderr *os.File) (stop func()) {
	if stderr == nil {
		return func() {}
	}
	before := compat.Stamp("/")
	atEnd := func() {
		if compat.Stamp("/") != before {
			fmt.Fprintf(stderr, "sessionctl: %s\n", HostChanged)
		}
	}
	// Giving a watch back takes the kernel 10 ms and more: a program does not wait
	// for that.
	if !decided.IsTerminal(stderr) {
		return atEnd
	}
	events := changes()
	if events == nil {
		return atEnd
	}
	told := make(chan struct{})
	go func() {
		defer close(told)
		b := make([]byte, 4096)
		for {
			n, err := events.Read(b)
			if err != nil {
				return
			}
			if ofStatus(b[:n]) && compat.Stamp("/") != before {
				// The terminal may be raw.
				fmt.Fprintf(stderr, "\r\nsessionctl: %s\r\n", HostChanged)
				return
			}
		}
	}()
	return func() {
		events.Close()
		<-told
	}
}

// changes are the names that are put into the directory of dpkg's list of packages,
// which dpkg replaces (inotify(7)). Nil where that cannot be watched.
func changes() *os.File { return changesIn(filepath.Dir(Status)) }

func changesIn(dir string) *os.File {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil
	}
	if _, err := unix.InotifyAddWatch(fd, dir, unix.IN_MOVED_TO); err != nil {
		unix.Close(fd)
		return nil
	}
	return os.NewFile(uintptr(fd), "changes in "+dir)
}

// ofStatus reports whether one of the events is of the list itself.
func ofStatus(events []byte) bool {
	for len(events) >= unix.SizeofInotifyEvent {
		n := int(binary.NativeEndian.Uint32(events[12:])) // its field len
		end := unix.SizeofInotifyEvent + n
		if end > len(events) {
			return false
		}
		name, _, _ := bytes.Cut(events[unix.SizeofInotifyEvent:end], []byte{0})
		if string(name) == filepath.Base(Status) {
			return true
		}
		events = events[end:]
	}
	return false
}
