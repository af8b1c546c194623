package plan

import (
	"errors"
	"fmt"
)

// The errors a caller tells apart.
var (
	// ErrInvalid says that a spec, a plan or a namespace file cannot be used.
	ErrInvalid = errors.New("invalid plan")
	// ErrVersion says that a namespace file is of an unknown version.
	ErrVersion = errors.New("unknown version of the namespace file")
	// ErrRootUntrusted says that root was to enter a view that somebody else
	// had a hand in.
	ErrRootUntrusted = errors.New("root does not enter an untrusted view")
	// ErrForbidden says that a line does what its author may not.
	ErrForbidden = errors.New("not allowed")
)

// Error is what is wrong with a line of a namespace file.
type Error struct {
	File string
	Line int // from 1
	Msg  string
	Err  error // ErrInvalid, ErrVersion or ErrForbidden
}

// Error returns "file:line: message".
func (e *Error) Error() string { return fmt.Sprintf("%s:%d: %s", e.File, e.Line, e.Msg) }

// Unwrap returns e.Err.
func (e *Error) Unwrap() error { return e.Err }

// problem is an error about a value, without the place where it stands.
type problem struct {
	msg string
	err error
}

func (p *problem) Error() string { return p.msg }
func (p *problem) Unwrap() error { return p.err }

func invalid(format string, args ...any) error {
	return &problem{fmt.Sprintf(format, args...), ErrInvalid}
}
