package namespaces

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"ninefold/namespaces/layers"
)

// Command is what a session runs first.
type Command struct {
	// Argv is the command and its arguments, looked up in the session's PATH.
	// Empty keeps the session open, without a command, until Close.
	Argv []string
	// Stdin, Stdout and Stderr are handed to the command; nil means /dev/null
	// of the host. They stay the caller's.
	Stdin, Stdout, Stderr *os.File
	// TTY gives the command a terminal of the session's own devpts and relays
	// it to Stdin and Stdout, which must then be set. The caller's terminal
	// itself is never handed in.
	TTY bool
	// Hold are files that a session without a command, or one of Open, keeps open
	// for as long as it lives, such as locks; they stay the caller's too.
	Hold []*os.File
	// Stamp has a session without a command hold the tmpfs of its throw-away
	// layers, before everything in Hold (HeldLayers): "" does not. When the
	// root is whole a directory of this name is made in it, so that what is
	// newer there is what the session wrote.
	Stamp string
	// Environment are variables, as NAME=VALUE, over those of the plan.
	Environment []string
	// Tasks, for Enter, is how many tasks the command may be with all that it
	// starts, in a cgroup of their own that ends with it; 0 sets no bound. Where
	// cgroup2 has no controller for it, they count as the caller's.
	Tasks int
	// Guard, for Start and Run, is run in the finished session before the command.
	Guard *Guard
	// Started, for Run, is called once when the command has been started, from
	// the thread that made the session; it must not block. The session is
	// Run's: it may be signalled, not closed.
	Started func(*Session)
	// Here, for Run, makes the session on the calling thread instead of one of
	// its own, which saves a thread and the switches to it and back. The goroutine
	// must be locked to its thread. Afterwards the thread is in the namespaces of the
	// process again, at "/" and with the umask 0, and shares neither with the
	// process; it must be used for nothing else. The main thread stays in the
	// session's namespaces but for the mounts: for programs that end then. After
	// an error the directory and the umask are those from before; it is ErrAway when
	// the thread could not go back.
	Here bool
}

// Guard is a program that runs first in a session, with the identity, privileges
// and filter of the command, and decides with its keeper whether there is to be one.
type Guard struct {
	Argv []string
	// Time bounds how long it may take, and Max what it may write, in bytes.
	Time time.Duration
	Max  int
	// Passed is given what it wrote, on its output or as an error, and how it ended.
	// Unless it returns nil the session ends, nothing of it is left, and
	// Start or Run returns that error.
	Passed func(said []byte, status Status) error
	// Disks are the device numbers, as MAJOR:MINOR, of what the plan's Disks mount.
	// They are set before the guard is started, and its last arguments: disk=7:3.
	Disks []string
	// Took is how long it took, the start of the session's first process included.
	// It is set before Passed is called.
	Took time.Duration
}

// The stamps: what is to become of throw-away layers is known by them.
const (
	StampPark    = "park"
	StampDiscard = "discard"
)

// HeldLayers is the descriptor by which the holder of a session with a Stamp
// has its layers: /proc/PID/fd/9. They are "upper" for /, and "@PATH/upper" for
// the host's file system on PATH, with %2F for a slash.
const HeldLayers = firstHeld

// Status is how the first command ended.
type Status struct {
	// Code is the exit status, or 128 plus the signal.
	Code int
	// Signal is the signal that ended it, or 0.
	Signal syscall.Signal
}

// Errors that callers tell apart with errors.Is.
var (
	// ErrRefused: the finished session did not deny what it must deny.
	ErrRefused = errors.New("the session would not have been what its plan says")
	// ErrUnsupported: this machine lacks something that the plan needs.
	ErrUnsupported = layers.ErrUnsupported
	// ErrPlan: the plan cannot be executed as it is.
	ErrPlan = errors.New("bad plan")
	// ErrAway: the thread that made the session is not back where it came from. It
	// may stand in the session's root, where no program is to be looked up.
	ErrAway = errors.New("the thread is still in the session")
)

// fill points nil streams at the host's /dev/null, which the caller closes; it
// is nil when there are none.
func (c *Command) fill() (null *os.File, err error) {
	if c.TTY && (c.Stdin == nil || c.Stdout == nil) {
		return nil, fmt.Errorf("%w: there is no terminal to relay to", ErrPlan)
	}
	for _, f := range []**os.File{&c.Stdin, &c.Stdout, &c.Stderr} {
		if *f == nil {
			if null == nil {
				// Not os.OpenFile, which asks the poller to watch it.
				fd, err := unix.Open(os.DevNull, unix.O_RDWR|unix.O_CLOEXEC, 0)
				if err != nil {
					return nil, &os.PathError{Op: "open", Path: os.DevNull, Err: err}
				}
				null = os.NewFile(uintptr(fd), os.DevNull)
			}
			*f = null
			continue
		}
		if st, err := (*f).Stat(); err == nil && st.IsDir() {
			null.Close()
			return nil, fmt.Errorf("%w: %s is a directory, from which a session would reach the host's root; give it a file or a pipe", ErrPlan, (*f).Name())
		}
	}
	return null, nil
}
