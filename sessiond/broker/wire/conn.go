package wire

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Socket is a connected stream socket: a net.UnixConn, or a file, since what asks
// the broker starts a third faster without package net.
type Socket interface {
	io.ReadWriteCloser
	syscall.Conn
	SetDeadline(time.Time) error
	SetReadDeadline(time.Time) error
	SetWriteDeadline(time.Time) error
}

// Conn is one end of a conversation. One goroutine may read while others
// write; Close ends both.
type Conn struct {
	Socket
	writing sync.Mutex
}

// Dial connects to the broker at path. While it has its hands full, that waits.
func Dial(path string) (*Conn, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	for err = unix.EINTR; err == unix.EINTR; {
		err = unix.Connect(fd, &unix.SockaddrUnix{Name: path})
	}
	if err == nil {
		err = unix.SetNonblock(fd, true)
	}
	if err != nil {
		unix.Close(fd)
		return nil, &os.PathError{Op: "connect to", Path: path, Err: err}
	}
	return &Conn{Socket: os.NewFile(uintptr(fd), path)}, nil
}

// Send sends an event, with files if there are any; they stay the caller's.
func (c *Conn) Send(v Event, files ...*os.File) error { return c.send(v.Kind, v.encode(), files) }

// SendRequest sends a Run frame with the files that belong to it.
func (c *Conn) SendRequest(r *Request, files []*os.File) error {
	b, err := r.Encode()
	if err != nil {
		return err
	}
	if len(files) != r.FDs() || len(files) > MaxFDs {
		return bad("%d descriptors come with a request for %d", len(files), r.FDs())
	}
	return c.send(Run, b, files)
}

func (c *Conn) send(k Kind, payload []byte, files []*os.File) error {
	head := make([]byte, headLen, headLen+len(payload))
	order.PutUint32(head, magic)
	order.PutUint16(head[4:], version)
	order.PutUint16(head[6:], uint16(k))
	order.PutUint32(head[8:], uint32(len(payload)))
	order.PutUint32(head[12:], uint32(len(files)))
	var control []byte
	if len(files) > 0 {
		fds := make([]int, len(files))
		for i, f := range files {
			fds[i] = int(f.Fd())
		}
		control = unix.UnixRights(fds...)
	}
	c.writing.Lock()
	defer c.writing.Unlock()
	// Descriptors come with the first byte (unix(7)), and the receiver reads
	// the head alone first.
	whole := append(head, payload...)
	n, err := c.sendmsg(whole, control)
	if err == nil && n < len(whole) {
		_, err = c.Write(whole[n:])
	}
	if err != nil {
		return fmt.Errorf("send: %w", err)
	}
	return nil
}

// FD is a descriptor that came along, close-on-exec. It is a number: package os
// would have the poller of the runtime ask its file system, which can be one of
// the sender's that does not answer. So can be closing it.
type FD int

// Close closes d.
func (d FD) Close() { _ = unix.Close(int(d)) }

// Frame is what came: a kind and its payload. The descriptors are the receiver's.
type Frame struct {
	Kind    Kind
	Payload []byte
	FDs     []FD
}

// Close closes the descriptors.
func (f *Frame) Close() {
	for _, d := range f.FDs {
		d.Close()
	}
	f.FDs = nil
}

// Budget lends memory for a payload before it is read; give takes it back.
type Budget func(bytes int) (give func(), err error)

// Receive reads one frame. What is not one is ErrBad, and nothing after it can
// be understood; descriptors can have come all the same, and are in the frame.
// io.EOF is a conversation that is over. budget may be nil.
func (c *Conn) Receive(budget Budget) (f Frame, give func(), err error) {
	head := make([]byte, headLen)
	control := make([]byte, unix.CmsgSpace(4*MaxFDs))
	for got := 0; got < headLen; {
		n, on, flags, err := c.recvmsg(head[got:], control)
		if on > 0 {
			// Whatever came is ours to close, also of a frame that is none.
			fds, ferr := received(control[:on])
			f.FDs = append(f.FDs, fds...)
			err = errors.Join(err, ferr)
		}
		if err == nil && len(f.FDs) > MaxFDs {
			// A head that comes byte by byte could bring some with each.
			err = bad("too many descriptors")
		}
		switch {
		case err != nil:
			return f, nil, err
		case flags&unix.MSG_CTRUNC != 0:
			return f, nil, bad("too many descriptors")
		case n == 0 && got == 0:
			return f, nil, io.EOF
		case n == 0:
			return f, nil, io.ErrUnexpectedEOF
		}
		got += n
	}
	length, fds := order.Uint32(head[8:]), order.Uint32(head[12:])
	f.Kind = Kind(order.Uint16(head[6:]))
	switch {
	case order.Uint32(head) != magic:
		return f, nil, bad("the magic is %#x", order.Uint32(head))
	case order.Uint16(head[4:]) != version:
		return f, nil, bad("version %d", order.Uint16(head[4:]))
	case f.Kind < Run || f.Kind > lastKind:
		return f, nil, bad("kind %d", f.Kind)
	case length > maxLength || f.Kind != Run && length > maxText:
		return f, nil, bad("%d bytes", length)
	case uint64(fds) != uint64(len(f.FDs)) || fds > MaxFDs:
		return f, nil, bad("it announces %d descriptors and brings %d", fds, len(f.FDs))
	}
	give = func() {}
	if budget != nil {
		if give, err = budget(int(length)); err != nil {
			return f, nil, err
		}
	}
	f.Payload = make([]byte, length)
	if _, err := io.ReadFull(c.Socket, f.Payload); err != nil {
		give()
		return f, nil, err
	}
	return f, give, nil
}

// sendmsg is sendmsg(2), waiting as a write does.
func (c *Conn) sendmsg(b, control []byte) (n int, err error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return 0, err
	}
	werr := raw.Write(func(fd uintptr) bool {
		for n, err = 0, unix.EINTR; err == unix.EINTR; {
			n, err = unix.SendmsgN(int(fd), b, control, nil, unix.MSG_NOSIGNAL)
		}
		return err != unix.EAGAIN
	})
	return n, errors.Join(werr, err)
}

// recvmsg is recvmsg(2), waiting as a read does. What comes is close-on-exec.
func (c *Conn) recvmsg(b, control []byte) (n, on, flags int, err error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return 0, 0, 0, err
	}
	rerr := raw.Read(func(fd uintptr) bool {
		for err = unix.EINTR; err == unix.EINTR; {
			n, on, flags, _, err = unix.Recvmsg(int(fd), b, control, unix.MSG_CMSG_CLOEXEC)
		}
		return err != unix.EAGAIN
	})
	if rerr != nil {
		return 0, 0, 0, rerr
	}
	return n, on, flags, err
}

// received takes the descriptors out of control messages.
func received(control []byte) ([]FD, error) {
	messages, err := unix.ParseSocketControlMessage(control)
	if err != nil {
		return nil, bad("%v", err)
	}
	var came []FD
	for _, m := range messages {
		fds, err := unix.ParseUnixRights(&m)
		if err != nil {
			continue // a control message of another kind
		}
		for _, fd := range fds {
			came = append(came, FD(fd))
		}
	}
	return came, nil
}
