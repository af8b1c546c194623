// Package exit is the one table of exit codes of Ninefold's commands, and how
// a failure is told: a line that says what failed, and a hint.
package exit

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"golang.org/x/sys/unix"

	"ninefold/namespaces/kernel"
)

// Code is the exit status of a command.
type Code int

// The codes. Between them and what a command in a session returns there is no
// confusion that a shell does not have too: 125, 126, 127 and 128+n mean here
// what they mean in env(1) and sh(1).
const (
	OK            Code = 0
	Failed        Code = 1
	Usage         Code = 2
	NotFound      Code = 3
	BadInput      Code = 4
	Integrity     Code = 5
	Busy          Code = 6
	NotSupported  Code = 7
	NotPermitted  Code = 8
	NoDaemon      Code = 9
	Denied        Code = 124
	NoSession     Code = 125
	NotExecutable Code = 126
	NoCommand     Code = 127
	Signal        Code = 128
)

// Table says what each code means, in the order of the documentation.
var Table = []struct {
	Code    Code
	Meaning string
}{
	{OK, "done"},
	{Failed, "failed in a way that no other code names"},
	{Usage, "the command line was wrong"},
	{NotFound, "no such profile, image, package, view, session, process or file"},
	{BadInput, "a file that somebody wrote (recipe, lock, profile, namespace file, configuration) is wrong"},
	{Integrity, "a signature, a hash or the store's own content does not hold"},
	{Busy, "another process holds what is needed"},
	{NotSupported, "this machine's kernel or tools cannot do it"},
	{NotPermitted, "it needs root, or the permission of another user"},
	{NoDaemon, "sessiond does not run, or does not answer"},
	{Denied, "host, run --guest, context: neither the policy nor who was asked allows it"},
	{NoSession, "run, enter, host: the session could not be made, the view not be entered, the command not be started"},
	{NotExecutable, "run, enter, host: the command was found and could not be executed"},
	{NoCommand, "run, enter, host: the command was not found in the session, or on the host"},
	{Signal, "run, enter, host: the command was ended by signal N; any command that Ctrl-C stopped returns 130"},
}

// Rule maps the errors that wrap Is to a code, with a hint for the person who
// sees it; Hint may be empty.
type Rule struct {
	Is   error
	Code Code
	Hint string
}

// edge are the rules that hold for every command, after its own.
var edge = []Rule{
	{Is: context.Canceled, Code: Signal + 2},
	{Is: context.DeadlineExceeded, Code: Failed},
	{Is: unix.ENOSPC, Code: Failed, Hint: "make room on that file system, or choose another directory with --state"},
	{Is: unix.EROFS, Code: NotPermitted, Hint: "that file system is read-only; choose another directory with --state"},
	{Is: fs.ErrPermission, Code: NotPermitted, Hint: "run it as root, or through sudo"},
	{Is: fs.ErrNotExist, Code: NotFound},
	{Is: unix.ENOTDIR, Code: NotFound, Hint: "something that is no directory stands where one should be"},
	{Is: fs.ErrInvalid, Code: Usage},
}

// Error carries a code and a hint with an error; it wins over every rule.
type Error struct {
	Code Code
	Hint string
	Err  error
}

// Error returns the text of the error it carries, without the hint.
func (e *Error) Error() string { return e.Err.Error() }

// Unwrap returns the error it carries.
func (e *Error) Unwrap() error { return e.Err }

// Usagef is an error of the command line.
func Usagef(hint, format string, args ...any) error {
	return &Error{Code: Usage, Hint: hint, Err: fmt.Errorf(format, args...)}
}

// Of returns the code and the hint for err by the first that matches of: an
// Error in its chain, the rules in order, the rules of every command. A hint of
// the error's own, from a method Hint() string in its chain, is nearer to the
// matter than that of a rule.
func Of(err error, rules []Rule) (Code, string) {
	if err == nil {
		return OK, ""
	}
	hint := func(otherwise string) string {
		var h interface{ Hint() string }
		if errors.As(err, &h) && h.Hint() != "" {
			return h.Hint()
		}
		if otherwise != "" {
			return otherwise
		}
		return kernel.Hint(err)
	}
	var e *Error
	if errors.As(err, &e) {
		if e.Hint != "" {
			return e.Code, e.Hint
		}
		return e.Code, hint("")
	}
	for _, r := range rules {
		if errors.Is(err, r.Is) {
			return r.Code, hint(r.Hint)
		}
	}
	for _, r := range edge {
		if errors.Is(err, r.Is) {
			// What is known of a system call is nearer than a rule for all of them.
			return r.Code, hint(cmp.Or(kernel.Hint(err), r.Hint))
		}
	}
	// Whatever else it is called: somebody wrote it wrong (tomlfile.Errors).
	if wrong := interface{ AsWritten() }(nil); errors.As(err, &wrong) {
		return BadInput, hint("")
	}
	return Failed, hint("")
}

// Tell writes err for a person: "program: what failed: why", each further line
// of the error indented, then the hint. A cancelled context is not told: who
// pressed Ctrl-C knows.
func Tell(w io.Writer, program string, err error, hint string) {
	if err == nil {
		return
	}
	if errors.Is(err, context.Canceled) {
		fmt.Fprintf(w, "%s: stopped\n", program)
		return
	}
	text := strings.ReplaceAll(strings.TrimRight(err.Error(), "\n"), "\n", "\n  ")
	fmt.Fprintf(w, "%s: %s\n", program, text)
	if hint != "" {
		fmt.Fprintf(w, "hint: %s\n", hint)
	}
}
