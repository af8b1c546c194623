package hostbus

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/godbus/dbus/v5"
	"golang.org/x/sys/unix"
)

// conn is one connection to the bus. Unlike the library's it sends descriptors
// and takes none: any user may send some in a signal to whoever does, and the
// kernel drops them here, since they are not received.
type conn struct {
	socket  *net.UnixConn
	systemd string // its unique name: signals of anybody else are not believed

	writing sync.Mutex
	serial  uint32

	// places bound the calls under way: the bus refuses more than 128 of a
	// connection (max_replies_per_connection, dbus-daemon(1)).
	places chan struct{}

	mu      sync.Mutex
	calls   map[uint32]*call
	jobs    map[dbus.ObjectPath]chan string
	failure error
	dead    chan struct{}

	hearing sync.Mutex
	hears   *time.Timer // runs while the bus hands us the ends of jobs
}

// call is one that waits for its answer.
type call struct {
	answer chan *dbus.Message
	// job, if it is set, is told the result of the job that the answer names.
	job chan string
}

// dial connects to the bus at a socket's path.
func dial(ctx context.Context, path string) (*conn, error) {
	s, err := (&net.Dialer{}).DialContext(ctx, "unix", path)
	if err != nil {
		return nil, err
	}
	c := &conn{socket: s.(*net.UnixConn), places: make(chan struct{}, maxCalls), calls: map[uint32]*call{}, jobs: map[dbus.ObjectPath]chan string{}, dead: make(chan struct{})}
	stop := context.AfterFunc(ctx, func() { _ = s.SetDeadline(time.Unix(1, 0)) })
	in := bufio.NewReader(s)
	if err := c.introduce(in); err != nil {
		s.Close()
		return nil, errors.Join(err, ctx.Err())
	}
	if !stop() {
		s.Close()
		return nil, ctx.Err()
	}
	go c.read(in)
	if _, err := c.call(ctx, nil, busName, busPath, busName, "Hello", nil); err != nil {
		c.close(err)
		return nil, err
	}
	body, err := c.call(ctx, nil, busName, busPath, busName, "GetNameOwner", []any{systemdName})
	if err == nil {
		err = dbus.Store(body, &c.systemd)
	}
	if err != nil {
		c.close(err)
		return nil, err
	}
	return c, nil
}

// introduce says who we are (EXTERNAL) and that we send descriptors.
func (c *conn) introduce(in *bufio.Reader) error {
	// The kernel's credentials go with the first byte.
	uid := fmt.Sprintf("%x", strconv.Itoa(os.Geteuid()))
	for _, step := range []struct{ say, want string }{
		{"\x00AUTH EXTERNAL " + uid + "\r\n", "OK "}, {"NEGOTIATE_UNIX_FD\r\n", "AGREE_UNIX_FD"}, {"BEGIN\r\n", ""},
	} {
		if _, err := io.WriteString(c.socket, step.say); err != nil {
			return err
		}
		if step.want == "" {
			break
		}
		line, err := in.ReadString('\n')
		if err != nil {
			return err
		}
		if !strings.HasPrefix(line, step.want) {
			return fmt.Errorf("the bus answers %q", strings.TrimSpace(line))
		}
	}
	return nil
}

func (c *conn) close(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	select {
	case <-c.dead:
		return
	default:
	}
	if !errors.Is(err, ErrBus) {
		err = fmt.Errorf("%w: %w", ErrBus, err)
	}
	c.failure = err
	close(c.dead)
	c.socket.Close()
}

func (c *conn) alive() bool {
	select {
	case <-c.dead:
		return false
	default:
		return true
	}
}

// read hands out answers and the ends of jobs until the connection breaks.
func (c *conn) read(in *bufio.Reader) {
	for {
		m, err := dbus.DecodeMessage(in)
		if err != nil {
			c.close(fmt.Errorf("the bus is gone: %w", err))
			return
		}
		switch m.Type {
		case dbus.TypeMethodReply, dbus.TypeError:
			c.answered(m)
		case dbus.TypeSignal:
			c.signalled(m)
		}
	}
}

func (c *conn) answered(m *dbus.Message) {
	serial, _ := m.Headers[dbus.FieldReplySerial].Value().(uint32)
	c.mu.Lock()
	defer c.mu.Unlock()
	waiting := c.calls[serial]
	if waiting == nil {
		return
	}
	delete(c.calls, serial)
	<-c.places
	// Here, so that no end of the job can come before it is waited for.
	if waiting.job != nil && m.Type == dbus.TypeMethodReply && len(m.Body) == 1 {
		if job, ok := m.Body[0].(dbus.ObjectPath); ok {
			c.jobs[job] = waiting.job
		}
	}
	waiting.answer <- m
}

func (c *conn) signalled(m *dbus.Message) {
	header := func(f dbus.HeaderField) string { s, _ := m.Headers[f].Value().(string); return s }
	if header(dbus.FieldMember) != "JobRemoved" || header(dbus.FieldSender) != c.systemd || len(m.Body) != 4 {
		return
	}
	job, _ := m.Body[1].(dbus.ObjectPath)
	result, _ := m.Body[3].(string)
	c.mu.Lock()
	defer c.mu.Unlock()
	if waiting := c.jobs[job]; waiting != nil {
		delete(c.jobs, job)
		waiting <- result
	}
}

// call calls a method and returns what it answers. job, if it is not nil, has
// room for one result.
func (c *conn) call(ctx context.Context, job chan string, name string, path dbus.ObjectPath, iface, method string, body []any) ([]any, error) {
	w := &call{answer: make(chan *dbus.Message, 1), job: job}
	if err := c.enter(ctx); err != nil {
		return nil, fmt.Errorf("%s: %w", method, err)
	}
	send := c.send
	if job != nil {
		send = c.sendHearing
	}
	if _, err := send(w, 0, name, path, iface, method, body); err != nil {
		return nil, err
	}
	return c.await(ctx, w, method)
}

// enter waits for a place for one call.
func (c *conn) enter(ctx context.Context) error {
	select {
	case c.places <- struct{}{}:
		return nil
	case <-c.dead:
		return c.failure
	case <-ctx.Done():
		return ctx.Err()
	}
}

// leave gives back the place of a call that was never sent.
func (c *conn) leave(w *call) {
	if w != nil {
		<-c.places
	}
}

func (c *conn) await(ctx context.Context, w *call, method string) ([]any, error) {
	select {
	case m := <-w.answer:
		if m.Type == dbus.TypeError {
			name, _ := m.Headers[dbus.FieldErrorName].Value().(string)
			return nil, fmt.Errorf("%s: %w", method, dbus.Error{Name: name, Body: m.Body})
		}
		return m.Body, nil
	case <-c.dead:
		return nil, c.failure
	case <-ctx.Done():
		// The bus still counts it, and so do we, until the answer comes.
		return nil, fmt.Errorf("%s: %w", method, ctx.Err())
	}
}

// send sends a call, for which there is a place; w is nil when nobody waits for
// the answer, which takes none. Descriptors in
// body (dbus.UnixFD) go along and stay the caller's.
func (c *conn) send(w *call, flags dbus.Flags, name string, path dbus.ObjectPath, iface, method string, body []any) (uint32, error) {
	m := &dbus.Message{Type: dbus.TypeMethodCall, Flags: flags, Body: body, Headers: map[dbus.HeaderField]dbus.Variant{
		dbus.FieldDestination: dbus.MakeVariant(name), dbus.FieldPath: dbus.MakeVariant(path),
		dbus.FieldInterface: dbus.MakeVariant(iface), dbus.FieldMember: dbus.MakeVariant(method),
	}}
	if w == nil {
		m.Flags |= dbus.FlagNoReplyExpected
	}
	if len(body) > 0 {
		m.Headers[dbus.FieldSignature] = dbus.MakeVariant(dbus.SignatureOf(body...))
		n, err := m.CountFds()
		if err != nil {
			c.leave(w)
			return 0, fmt.Errorf("%s: %w", method, err)
		}
		if n > 0 {
			m.Headers[dbus.FieldUnixFDs] = dbus.MakeVariant(uint32(n))
		}
	}
	var buf bytes.Buffer
	fds, err := m.EncodeToWithFDs(&buf, binary.LittleEndian)
	if err != nil {
		c.leave(w)
		return 0, fmt.Errorf("%s: %w", method, err)
	}
	var control []byte
	if len(fds) > 0 {
		control = unix.UnixRights(fds...)
	}
	c.writing.Lock()
	defer c.writing.Unlock()
	c.serial++
	if c.serial == 0 {
		c.serial++ // 0 is no serial number
	}
	b := buf.Bytes()
	binary.LittleEndian.PutUint32(b[8:], c.serial)
	if w != nil {
		c.mu.Lock()
		c.calls[c.serial] = w
		c.mu.Unlock()
	}
	_ = c.socket.SetWriteDeadline(time.Now().Add(writeTimeout))
	n, _, err := c.socket.WriteMsgUnix(b, control, nil)
	if err == nil && n < len(b) {
		_, err = c.socket.Write(b[n:])
	}
	if err != nil {
		// Half a message may have gone out: nothing after it would be understood.
		err = fmt.Errorf("%s: the bus takes no message: %w", method, err)
		c.close(err)
	}
	return c.serial, err
}
