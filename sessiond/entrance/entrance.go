// Package entrance is where the keeper of a guest who logs in waits for that guest:
// a socket that one process of the guest's uid passes once.
package entrance

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"ninefold/sessiond/door"
)

// Entrance is where a keeper waits for its guest: a socket that one process of
// the guest's uid passes once.
type Entrance struct {
	listener *net.UnixListener
	uid      uint32
}

// Visitor is the guest's one process on the host, ninefold-guest, in front of
// its terminal or greeter.
type Visitor struct {
	conn *net.UnixConn
	Hello
	// Files are its standard streams, and the X server's cookie where there is one.
	Files []*os.File
}

// Hello is what the visitor says of itself: nothing that anybody has to believe.
type Hello struct {
	Argv        []string
	Environment []string // NAME=VALUE
}

// Open makes an entrance at name for uid alone to connect to. What was there is
// removed.
func Open(name string, uid uint32) (*Entrance, error) {
	if err := os.Remove(name); err != nil && !os.IsNotExist(err) {
		return nil, err
	}
	l, err := net.ListenUnix("unixpacket", &net.UnixAddr{Name: name, Net: "unixpacket"})
	if err != nil {
		return nil, err
	}
	if err := errors.Join(os.Chmod(name, 0o600), os.Chown(name, int(uid), -1)); err != nil {
		l.Close()
		return nil, err
	}
	return &Entrance{l, uid}, nil
}

// Close closes the entrance.
func (e *Entrance) Close() error { return e.listener.Close() }

// ErrAbsent says that nobody came.
var ErrAbsent = errors.New("the guest did not come in")

// Wait waits for the visitor until ctx ends, and closes the entrance behind it.
// Whoever else comes is sent away.
func (e *Entrance) Wait(ctx context.Context) (*Visitor, error) {
	defer e.Close()
	defer context.AfterFunc(ctx, func() { e.listener.Close() })()
	for {
		c, err := e.listener.AcceptUnix()
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrAbsent, errors.Join(context.Cause(ctx), err))
		}
		v, err := receive(c, e.uid)
		if err == nil {
			return v, nil
		}
		c.Close()
	}
}

const (
	greeting = "9fguest1" // pamhook/guest/ninefold-guest.c
	maxHello = 8192
	maxFiles = 4
	// helloTime is how long a visitor has for its first word.
	helloTime = 5 * time.Second
)

func receive(c *net.UnixConn, uid uint32) (*Visitor, error) {
	who, err := door.UID(c)
	if err != nil {
		return nil, err
	}
	if who != uid {
		return nil, fmt.Errorf("uid %d is not the guest", who)
	}
	_ = c.SetReadDeadline(time.Now().Add(helloTime))
	buf, control := make([]byte, maxHello+1), make([]byte, unix.CmsgSpace(4*maxFiles))
	n, on, flags, _, err := c.ReadMsgUnix(buf, control)
	if err != nil {
		return nil, err
	}
	_ = c.SetReadDeadline(time.Time{})
	v := &Visitor{conn: c}
	messages, err := unix.ParseSocketControlMessage(control[:on])
	for _, m := range messages {
		if fds, rerr := unix.ParseUnixRights(&m); rerr == nil {
			for _, fd := range fds {
				v.Files = append(v.Files, os.NewFile(uintptr(fd), "file of the guest"))
			}
		}
	}
	if err == nil {
		v.Hello, err = ParseHello(buf[:n])
	}
	if err == nil && (len(v.Files) < 3 || flags&unix.MSG_CTRUNC != 0) {
		err = errors.New("it brings no streams")
	}
	if err != nil {
		v.closeFiles()
		return nil, err
	}
	return v, nil
}

// errHello says that the first message is none.
var errHello = errors.New("what the guest's process says is not understood")

// ParseHello reads the first message: the greeting, then strings that a letter
// before says what they are, each ended by NUL. What is no variable that a guest
// may bring is left out.
func ParseHello(b []byte) (h Hello, err error) {
	rest, ok := bytes.CutPrefix(b, []byte(greeting))
	if !ok || len(b) > maxHello {
		return h, errHello
	}
	for len(rest) > 0 {
		end := bytes.IndexByte(rest, 0)
		if end < 1 {
			return Hello{}, errHello
		}
		text := string(rest[1:end])
		switch rest[0] {
		case 'A':
			h.Argv = append(h.Argv, text)
		case 'E':
			if mayBring(text) {
				h.Environment = append(h.Environment, text)
			}
		default:
			return Hello{}, errHello
		}
		rest = rest[end+1:]
	}
	return h, nil
}

// mayBring reports whether a variable of a login program's may go into the
// session: what tells of the terminal, of the language and of the screen.
func mayBring(variable string) bool {
	name, value, ok := strings.Cut(variable, "=")
	if !ok || strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return false
	}
	switch name {
	case "TERM", "COLORTERM", "LANG", "DISPLAY", "DESKTOP_SESSION", "XDG_SESSION_TYPE", "XDG_SESSION_DESKTOP":
		return true
	}
	return strings.HasPrefix(name, "LC_")
}

// Watch calls resized when the visitor's terminal has another size, and gone
// when the visitor is no more. Neither may block.
func (v *Visitor) Watch(resized, gone func()) {
	go func() {
		var b [16]byte
		for {
			n, err := v.conn.Read(b[:])
			if err != nil || n == 0 {
				gone()
				return
			}
			if b[0] == 'W' {
				resized()
			}
		}
	}()
}

// Leave tells the visitor how the session ended.
func (v *Visitor) Leave(code int) { v.say(binary.NativeEndian.AppendUint32([]byte{'X'}, uint32(code))) }

// Fail tells it why there is no session, or no longer.
func (v *Visitor) Fail(why string) { v.say([]byte("E" + why[:min(len(why), 400)])) }

func (v *Visitor) say(b []byte) {
	_ = v.conn.SetWriteDeadline(time.Now().Add(time.Second)) // it may be stopped
	_, _ = v.conn.Write(b)
}

func (v *Visitor) closeFiles() {
	for _, f := range v.Files {
		f.Close()
	}
}

// Close lets go of the visitor, after it was told how it ended.
func (v *Visitor) Close() error {
	v.closeFiles()
	return v.conn.Close()
}
