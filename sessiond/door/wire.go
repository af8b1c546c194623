// Package door is the daemon's side of the small socket through which a login
// process asks for the namespaces of its view: the wire (pamhook/door.h), who
// is asking, and a server whose every request ends within a second.
package door

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// What pamhook/door.h fixes. TestLayout compiles it and compares.
const (
	Path       = "/run/ninefold/door"
	magic      = 0x524f4f44
	version    = 1
	TimeoutMS  = 1000
	MaxFDs     = 8
	requestLen = 880
	replyLen   = 1760
)

// Op is what is asked.
type Op uint16

// The questions.
const (
	Prepare Op = 1 // PAM, before pam_systemd
	Session Op = 2 // PAM, after pam_systemd
	Manager Op = 3 // ninefold-enter in user@UID.service
	Join    Op = 4 // ninefold-enter in a session of its own uid
	Ping    Op = 5
	Choices Op = 6 // PAM, in auth: what the person may be asked for
	Guest   Op = 7 // PAM, in auth: an account for a guest
	// GuestSession is PAM, last in session: the vestibule of that guest.
	GuestSession Op = 8
)

// Verdict is what is answered.
type Verdict uint32

// The answers.
const (
	Enter  Verdict = 1
	Host   Verdict = 2
	Refuse Verdict = 3
)

// FDKind is what a descriptor in a reply is.
type FDKind uint8

// The kinds of descriptor.
const (
	FDMount FDKind = 1
	FDUser  FDKind = 2
	FDPID   FDKind = 3
	FDIPC   FDKind = 4
	FDUTS   FDKind = 5
	FDNet   FDKind = 6
)

// Flags of a reply.
const (
	Vestibule  uint32 = 1
	NoNewPrivs uint32 = 2
)

// Request is one request. Its strings are valid UTF-8 without control
// characters; nothing in them proves anything.
type Request struct {
	Version uint16
	Op      Op
	UID     uint32
	User    string
	Service string
	TTY     string
	Rhost   string
	Choice  string
	Session string
	Class   string
}

// Reply is one reply, without its descriptors.
type Reply struct {
	Op      Op
	Verdict Verdict
	Flags   uint32
	FDs     []FDKind
	View    string
	Profile string
	// Message is one line for the person; what does not fit is cut.
	Message string
	// Environment are NAME=VALUE strings. Encode fails when they do not fit.
	Environment []string
}

// ErrBadRequest says that a message is not a request.
var ErrBadRequest = errors.New("bad request")

func bad(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrBadRequest, fmt.Sprintf(format, args...))
}

var order = binary.NativeEndian

// The places of a request's strings: offset and width.
var requestStrings = []struct {
	name       string
	off, width int
	field      func(*Request) *string
}{
	{"user", 16, 256, func(r *Request) *string { return &r.User }},
	{"service", 272, 64, func(r *Request) *string { return &r.Service }},
	{"tty", 336, 64, func(r *Request) *string { return &r.TTY }},
	{"rhost", 400, 256, func(r *Request) *string { return &r.Rhost }},
	{"choice", 656, 128, func(r *Request) *string { return &r.Choice }},
	{"session", 784, 64, func(r *Request) *string { return &r.Session }},
	{"session_class", 848, 32, func(r *Request) *string { return &r.Class }},
}

// DecodeRequest reads a request. It is ErrBadRequest for everything that is
// not exactly one: another length, magic or version, an unknown op, a string
// that does not end, is followed by anything but NUL, or holds a control
// character or bytes that are no UTF-8.
func DecodeRequest(b []byte) (Request, error) {
	if len(b) != requestLen {
		return Request{}, bad("%d bytes instead of %d", len(b), requestLen)
	}
	if m := order.Uint32(b); m != magic {
		return Request{}, bad("the magic is %#x", m)
	}
	if n := order.Uint32(b[4:]); n != requestLen {
		return Request{}, bad("it says that it is %d bytes long", n)
	}
	r := Request{Version: order.Uint16(b[8:]), Op: Op(order.Uint16(b[10:])), UID: order.Uint32(b[12:])}
	if r.Version != version {
		return Request{}, bad("version %d", r.Version)
	}
	if r.Op < Prepare || r.Op > GuestSession {
		return Request{}, bad("op %d", r.Op)
	}
	for _, s := range requestStrings {
		text, err := text(b[s.off : s.off+s.width])
		if err != nil {
			return Request{}, bad("%s: %v", s.name, err)
		}
		*s.field(&r) = text
	}
	return r, nil
}

func text(b []byte) (string, error) {
	end := bytes.IndexByte(b, 0)
	if end < 0 {
		return "", errors.New("it does not end")
	}
	for _, c := range b[end:] {
		if c != 0 {
			return "", errors.New("there is something behind its end")
		}
	}
	s := string(b[:end])
	if !utf8.ValidString(s) {
		return "", errors.New("it is not UTF-8")
	}
	if strings.ContainsFunc(s, unicode.IsControl) {
		return "", errors.New("it holds a control character")
	}
	return s, nil
}

// Encode returns the bytes of r; a string that is too long is ErrBadRequest.
func (r Request) Encode() ([]byte, error) {
	b := make([]byte, requestLen)
	head(b, r.Op)
	order.PutUint32(b[12:], r.UID)
	for _, s := range requestStrings {
		if err := put(b[s.off:s.off+s.width], *s.field(&r)); err != nil {
			return nil, bad("%s: %v", s.name, err)
		}
	}
	return b, nil
}

func head(b []byte, op Op) {
	order.PutUint32(b, magic)
	order.PutUint32(b[4:], uint32(len(b)))
	order.PutUint16(b[8:], version)
	order.PutUint16(b[10:], uint16(op))
}

func put(into []byte, s string) error {
	if len(s) >= len(into) {
		return fmt.Errorf("%d bytes, at most %d", len(s), len(into)-1)
	}
	if strings.IndexByte(s, 0) >= 0 {
		return errors.New("it holds a NUL")
	}
	copy(into, s)
	return nil
}

// The places in a reply.
const (
	offVerdict, offFlags, offNFDs, offFDs = 12, 16, 20, 24
	offView, offProfile, offMessage       = 32, 96, 224
	offEnvironment                        = 736
	maxEnvironment                        = 1024
)

// Encode returns the bytes of r.
func (r Reply) Encode() ([]byte, error) {
	b := make([]byte, replyLen)
	head(b, r.Op)
	order.PutUint32(b[offVerdict:], uint32(r.Verdict))
	order.PutUint32(b[offFlags:], r.Flags)
	if len(r.FDs) > MaxFDs {
		return nil, fmt.Errorf("reply: %d descriptors, at most %d", len(r.FDs), MaxFDs)
	}
	order.PutUint32(b[offNFDs:], uint32(len(r.FDs)))
	for i, k := range r.FDs {
		b[offFDs+i] = byte(k)
	}
	for _, s := range []struct {
		into []byte
		text string
	}{
		{b[offView:offProfile], r.View}, {b[offProfile:offMessage], r.Profile},
		{b[offMessage:offEnvironment], oneLine(r.Message, offEnvironment-offMessage-1)},
	} {
		if err := put(s.into, s.text); err != nil {
			return nil, fmt.Errorf("reply: %w", err)
		}
	}
	at := offEnvironment
	for _, e := range r.Environment {
		// One NUL more than the strings need ends the list.
		if at+len(e)+2 > len(b) || strings.IndexByte(e, 0) >= 0 {
			return nil, fmt.Errorf("reply: the environment does not fit into %d bytes", maxEnvironment)
		}
		at += copy(b[at:], e) + 1
	}
	return b, nil
}

// oneLine makes s one line of at most limit bytes, cut between characters.
func oneLine(s string, limit int) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
	if len(s) <= limit {
		return s
	}
	cut := limit - len("…")
	for cut > 0 && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + "…"
}

// DecodeReply reads a reply, for programs and tests that ask the door.
func DecodeReply(b []byte) (Reply, error) {
	if len(b) != replyLen || order.Uint32(b) != magic || order.Uint32(b[4:]) != replyLen || order.Uint16(b[8:]) != version {
		return Reply{}, fmt.Errorf("not a reply of version %d", version)
	}
	r := Reply{Op: Op(order.Uint16(b[10:])), Verdict: Verdict(order.Uint32(b[offVerdict:])), Flags: order.Uint32(b[offFlags:])}
	n := order.Uint32(b[offNFDs:])
	if n > MaxFDs {
		return Reply{}, fmt.Errorf("reply: %d descriptors", n)
	}
	for _, k := range b[offFDs : offFDs+n] {
		r.FDs = append(r.FDs, FDKind(k))
	}
	var err error
	for _, s := range []struct {
		from []byte
		into *string
	}{{b[offView:offProfile], &r.View}, {b[offProfile:offMessage], &r.Profile}, {b[offMessage:offEnvironment], &r.Message}} {
		if *s.into, err = text(s.from); err != nil {
			return Reply{}, fmt.Errorf("reply: %w", err)
		}
	}
	for rest := b[offEnvironment:]; len(rest) > 0 && rest[0] != 0; {
		end := bytes.IndexByte(rest, 0)
		if end < 0 {
			return Reply{}, errors.New("reply: the environment does not end")
		}
		r.Environment = append(r.Environment, string(rest[:end]))
		rest = rest[end+1:]
	}
	return r, nil
}
