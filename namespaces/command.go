package namespaces

import (
	"errors"
	"os"
	"syscall"
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
}

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
	ErrUnsupported = errors.New("not supported on this machine")
	// ErrPlan: the plan cannot be executed as it is.
	ErrPlan = errors.New("bad plan")
)
