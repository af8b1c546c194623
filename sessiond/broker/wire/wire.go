// Package wire is what passes between a command in a session and the broker of
// the daemon: frames of a fixed head and fields with lengths, over a stream
// socket that carries descriptors. Both ends are on one machine, so numbers
// are in its byte order.
package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
)

// Path is the broker's socket. It lies in a directory of its own, so that a
// session that is to have no broker is given none.
const Path = "/run/ninefold/broker/host"

// MessageID marks the records of decisions in the journal
// (systemd.journal-fields(7)).
const MessageID = "7d9c8a3f2b6e4c51a0de94c7f1b35e68"

const (
	magic   = 0x54534839 // "9HST"
	version = 1
	headLen = 16

	// MaxArguments bounds the bytes of a command with its ends: what the kernel
	// takes of a new program under the usual limit of the stack (execve(2)).
	MaxArguments = 2 << 20
	// MaxArgument bounds those of one argument, as the kernel does.
	MaxArgument = 128<<10 - 1
	maxText     = 64 << 10 // everything else in a frame
	maxLength   = MaxArguments + maxText
	maxProfile  = 256
	// MaxFDs bounds the descriptors of one frame.
	MaxFDs = 5
)

// Kind is what a frame is.
type Kind uint16

// The frames. A caller sends Run or Attach first; Go and Signal follow.
const (
	// Run asks for a command; its fields are a Request's. The descriptors are
	// the passed streams in their order, then the directory, then the file.
	Run Kind = 1 + iota
	// Attach asks for the end of a command that an earlier daemon started:
	// Text names its unit.
	Attach
	// Go says that the caller's terminal is ready.
	Go
	// Signal hands on signal number Code.
	Signal

	// Terminal brings the master of the command's terminal.
	Terminal
	// Started says that the command is on its way; Text names its unit.
	Started
	// Ended says how it ended: Code, or by signal Number.
	Ended
	// Refused ends the conversation: Code is a Reason, Text says why, Hint
	// what to do.
	Refused
	// Notice is a line for the person.
	Notice
	// Explained answers an Explain: Text.
	Explained
	lastKind = Explained
)

// Reason says why a request was refused.
type Reason uint32

// The reasons.
const (
	// Denied: the policy, or who was asked, does not allow it.
	Denied Reason = 1 + iota
	// NotFound: there is no such program on the host.
	NotFound
	// NotExecutable: there is, and it cannot be executed.
	NotExecutable
	// NotStarted: the host could not start it.
	NotStarted
	// Mistaken: the request itself is wrong.
	Mistaken
	// Lost: how the command ended is not known.
	Lost
	// Busy: too much is under way for this user.
	Busy
	// Unpassable: a stream is a file whose file system may never answer. A pipe
	// can stand for it.
	Unpassable
)

// ErrBad says that what came is not a frame, or not one that belongs here.
var ErrBad = errors.New("bad message")

func bad(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrBad, fmt.Sprintf(format, args...))
}

var order = binary.NativeEndian

// Stream says what one of a command's standard streams is.
type Stream uint8

// The kinds of stream.
const (
	Null Stream = iota
	// Passed is a descriptor of the caller's.
	Passed
	// OwnTerminal is the terminal that the broker makes for the command.
	OwnTerminal
)

// Request is what a caller wants. Nothing in it proves anything.
type Request struct {
	// Argv is the command; empty is the login shell of User.
	Argv []string
	// Dir is the caller's directory as the caller sees it, and comes with a
	// descriptor; "" is none.
	Dir string
	// Environment are NAME=VALUE strings; those that are not on the broker's
	// list are dropped.
	Environment []string
	// User is whom the command runs as; "" is root.
	User string
	// In runs it in another session or view of the caller's own, as the caller.
	In string
	// Guest is a profile: Argv runs in a session of it as a guest, and not on the
	// host. Nothing else of the caller's goes with it but streams that are pipes.
	Guest string
	// Context has Argv be a command of "sessionctl context", about the caller's own.
	// As with Guest, nothing else of the caller's goes with it.
	Context bool
	// Streams are standard input, output and error.
	Streams [3]Stream
	// File is the number of an argument, from 1, that names a file of which a
	// descriptor comes along: on the host that name has to be the same file.
	// 0 is none.
	File uint32
	// Detach lets the command live on without the caller, Explain runs nothing
	// and says what would happen, Quiet asks nobody.
	Detach, Explain, Quiet bool
}

// Apart reports whether what runs for r is not the caller's command on the host.
func (r *Request) Apart() bool { return r.Guest != "" || r.Context }

// FDs is how many descriptors belong to r.
func (r *Request) FDs() int {
	n := 0
	for _, s := range r.Streams {
		if s == Passed {
			n++
		}
	}
	if r.Dir != "" {
		n++
	}
	if r.File > 0 {
		n++
	}
	return n
}

const (
	flagDetach = 1 << iota
	flagExplain
	flagQuiet
	flagContext
	flagsAll = flagDetach | flagExplain | flagQuiet | flagContext
)

// The fields.
const (
	tagArgument = 1 + iota
	tagDir
	tagEnvironment
	tagUser
	tagIn
	tagStreams
	tagFile
	tagFlags
	tagText
	tagHint
	tagCode
	tagNumber
	tagGuest
)

type encoder struct{ b []byte }

func (e *encoder) field(tag uint32, value string) {
	e.b = order.AppendUint32(e.b, tag)
	e.b = order.AppendUint32(e.b, uint32(len(value)))
	e.b = append(e.b, value...)
}

func (e *encoder) text(tag uint32, value string) {
	if value != "" {
		e.field(tag, value)
	}
}

func (e *encoder) number(tag, value uint32) {
	if value != 0 {
		e.field(tag, string(order.AppendUint32(nil, value)))
	}
}

// Encode returns the payload of a Run frame. It fails with ErrBad when r is
// larger than the broker takes.
func (r *Request) Encode() ([]byte, error) {
	var e encoder
	size := 0
	for _, a := range r.Argv {
		if strings.IndexByte(a, 0) >= 0 {
			return nil, bad("an argument holds a NUL byte, which no program can be given")
		}
		if len(a) > MaxArgument {
			return nil, bad("an argument has %d bytes, at most %d are possible", len(a), MaxArgument)
		}
		size += len(a) + 1
		e.field(tagArgument, a)
	}
	if size > MaxArguments {
		return nil, bad("the command has %d bytes, at most %d are possible", size, MaxArguments)
	}
	e.text(tagDir, r.Dir)
	for _, v := range r.Environment {
		e.field(tagEnvironment, v)
	}
	e.text(tagUser, r.User)
	e.text(tagIn, r.In)
	if len(r.Guest) > maxProfile {
		return nil, bad("the profile's name has %d bytes, at most %d are possible", len(r.Guest), maxProfile)
	}
	e.text(tagGuest, r.Guest)
	e.field(tagStreams, string([]byte{byte(r.Streams[0]), byte(r.Streams[1]), byte(r.Streams[2])}))
	e.number(tagFile, r.File)
	flags := uint32(0)
	for f, set := range map[uint32]bool{flagDetach: r.Detach, flagExplain: r.Explain, flagQuiet: r.Quiet, flagContext: r.Context} {
		if set {
			flags |= f
		}
	}
	e.number(tagFlags, flags)
	if len(e.b) > maxLength {
		return nil, bad("the request has %d bytes, at most %d are possible", len(e.b), maxLength)
	}
	return e.b, nil
}

// fields calls each for every field of b, in order.
func fields(b []byte, each func(tag uint32, value []byte) error) error {
	for len(b) > 0 {
		if len(b) < 8 {
			return bad("a field is cut off")
		}
		tag, n := order.Uint32(b), order.Uint32(b[4:])
		b = b[8:]
		if uint64(n) > uint64(len(b)) {
			return bad("a field says that it is longer than the message")
		}
		if err := each(tag, b[:n]); err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

// clean reports an error for text with a NUL in it, which would end early for
// whoever reads it next.
func clean(value []byte) (string, error) {
	for _, c := range value {
		if c == 0 {
			return "", bad("a text holds a NUL byte")
		}
	}
	return string(value), nil
}

func number(value []byte) (uint32, error) {
	if len(value) != 4 {
		return 0, bad("a number has %d bytes", len(value))
	}
	return order.Uint32(value), nil
}

// DecodeRequest reads the payload of a Run frame. Everything that is not
// exactly one is ErrBad.
func DecodeRequest(b []byte) (*Request, error) {
	r := &Request{}
	seen := map[uint32]bool{}
	size := 0
	err := fields(b, func(tag uint32, value []byte) (err error) {
		if seen[tag] && tag != tagArgument && tag != tagEnvironment {
			return bad("a field comes twice")
		}
		seen[tag] = true
		var s string
		switch tag {
		case tagArgument:
			if size += len(value) + 1; len(value) > MaxArgument || size > MaxArguments {
				return bad("the command is too long")
			}
			s, err = clean(value)
			r.Argv = append(r.Argv, s)
		case tagDir:
			r.Dir, err = clean(value)
		case tagEnvironment:
			s, err = clean(value)
			r.Environment = append(r.Environment, s)
		case tagUser:
			r.User, err = clean(value)
		case tagIn:
			r.In, err = clean(value)
		case tagGuest:
			if len(value) == 0 || len(value) > maxProfile {
				return bad("the profile's name has %d bytes", len(value))
			}
			r.Guest, err = clean(value)
		case tagStreams:
			if len(value) != 3 {
				return bad("there are %d streams", len(value))
			}
			for i, v := range value {
				if r.Streams[i] = Stream(v); r.Streams[i] > OwnTerminal {
					return bad("stream %d is of kind %d", i, v)
				}
			}
		case tagFile:
			r.File, err = number(value)
		case tagFlags:
			var flags uint32
			if flags, err = number(value); err == nil && flags&^flagsAll != 0 {
				return bad("flags %#x", flags)
			}
			r.Detach, r.Explain, r.Quiet, r.Context = flags&flagDetach != 0, flags&flagExplain != 0, flags&flagQuiet != 0, flags&flagContext != 0
		default:
			return bad("field %d", tag)
		}
		return err
	})
	switch {
	case err != nil:
		return nil, err
	case !seen[tagStreams]:
		return nil, bad("it does not say what the streams are")
	case r.File > 0 && int64(r.File) >= int64(len(r.Argv)):
		return nil, bad("argument %d of %d names the file", r.File, len(r.Argv))
	case len(r.Argv) > 0 && r.Argv[0] == "":
		return nil, bad("the name of the program is empty")
	case r.Guest != "" && r.Context, r.Context && len(r.Argv) == 0:
		return nil, bad("a command about contexts is one, and no guest's")
	case r.Apart() && (r.User != "" || r.In != "" || r.Dir != "" || r.File > 0 || r.Detach || r.Explain):
		return nil, bad("a guest or a context has nothing of the caller's but its streams")
	}
	return r, nil
}

// Event is every frame but Run.
type Event struct {
	Kind   Kind
	Text   string
	Hint   string
	Code   uint32
	Number uint32
}

// encode returns the payload; texts that are too long are cut.
func (v Event) encode() []byte {
	var e encoder
	e.text(tagText, cut(v.Text))
	e.text(tagHint, cut(v.Hint))
	e.number(tagCode, v.Code)
	e.number(tagNumber, v.Number)
	return e.b
}

func cut(s string) string {
	const most = maxText/2 - 64
	if len(s) > most {
		return s[:most] + "..."
	}
	return s
}

// DecodeEvent reads the payload of a frame of kind k.
func DecodeEvent(k Kind, b []byte) (Event, error) {
	v := Event{Kind: k}
	if k <= Run || k > lastKind || len(b) > maxText {
		return v, bad("%d bytes of kind %d", len(b), k)
	}
	return v, fields(b, func(tag uint32, value []byte) (err error) {
		switch tag {
		case tagText:
			v.Text, err = clean(value)
		case tagHint:
			v.Hint, err = clean(value)
		case tagCode:
			v.Code, err = number(value)
		case tagNumber:
			v.Number, err = number(value)
		default:
			return bad("field %d", tag)
		}
		return err
	})
}
