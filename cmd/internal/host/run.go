package host

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"ninefold/cmd/internal/exit"
	"ninefold/sessiond/broker/wire"
)

// Stdio is what a command reads and writes.
type Stdio struct{ In, Out, Err *os.File }

// Run asks the broker for a command and returns its exit status. Signals stay
// caught afterwards.
func Run(io Stdio, o Options) (status int, err error) {
	status, err = ask(io, o, false)
	if errors.Is(err, errUnpassable) && !o.Detach {
		return ask(io, o, true)
	}
	return status, err
}

// errUnpassable says that the broker takes no descriptor of a file of ours.
var errUnpassable = errors.New("a file cannot be handed over")

// ask is one try. With piped, files are copied through pipes.
func ask(io Stdio, o Options, piped bool) (status int, err error) {
	c := &call{Stdio: io, o: o, piped: piped}
	defer c.close()
	if err := c.dial(); err != nil {
		return 0, err
	}
	request, files, err := c.request()
	if err != nil {
		return 0, err
	}
	err = c.conn.SendRequest(request, files)
	for _, f := range c.ours {
		f.Close() // the command's ends of our pipes
	}
	if err != nil {
		if errors.Is(err, wire.ErrBad) {
			return 0, errf(exit.Usage, "", "host: %w", err)
		}
		// The broker says why it hangs up before it has heard all.
		if refused, rerr := c.next(); rerr == nil && refused.Kind == wire.Refused {
			return 0, refusedBy(refused)
		}
		return 0, errf(exit.NoDaemon, "see systemctl status sessiond", "ask the broker: %w", err)
	}
	return c.converse()
}

// call is one conversation with the broker.
type call struct {
	Stdio
	o     Options
	conn  *wire.Conn
	unit  string
	relay relay
	piped bool
	ours  []*os.File
}

func (c *call) close() {
	c.relay.restore()
	if c.conn != nil {
		c.conn.Close()
	}
}

func (c *call) dial() error {
	conn, err := wire.Dial(wire.Path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return errf(exit.NoDaemon, "on the host: systemctl start sessiond-host.socket", "there is no way to the host from here: %w", err)
	case err != nil:
		return errf(exit.NoDaemon, "see systemctl status sessiond", "ask the broker: %w", err)
	}
	var cred *unix.Ucred
	raw, err := conn.SyscallConn()
	if err == nil {
		cerr := raw.Control(func(fd uintptr) { cred, err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) })
		err = errors.Join(err, cerr)
	}
	if err != nil || cred.Uid != 0 {
		conn.Close()
		return errf(exit.NoDaemon, "", "it is not root who listens at %s", wire.Path)
	}
	c.conn = conn
	return nil
}

// sent are the variables that are worth sending; the broker decides.
var sent = []string{"TERM", "COLORTERM", "LANG", "LANGUAGE", "DISPLAY", "WAYLAND_DISPLAY", "XAUTHORITY"}

// request says what is wanted, with the files that belong to it.
func (c *call) request() (*wire.Request, []*os.File, error) {
	r := &wire.Request{Argv: c.o.Command, User: c.o.User, In: c.o.In, Guest: c.o.Guest, Context: c.o.Context, File: c.o.File, Detach: c.o.Detach, Explain: c.o.Explain, Quiet: c.o.NoAsk}
	files, err := c.streams(r)
	if err != nil {
		return nil, nil, err
	}
	if c.o.apart() {
		if v := os.Getenv("TERM"); v != "" {
			r.Environment = []string{"TERM=" + v}
		}
		return r, files, nil
	}
	// A directory that is gone, or outside of this root, is no place to start in.
	buf := make([]byte, unix.PathMax)
	if n, err := unix.Getcwd(buf); err == nil && n > 1 && buf[0] == '/' {
		if fd, err := unix.Open(".", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0); err == nil {
			r.Dir = string(buf[:n-1])
			files = append(files, os.NewFile(uintptr(fd), r.Dir))
		}
	}
	if c.o.File > 0 {
		fd, err := unix.Open(c.o.Command[c.o.File], unix.O_PATH|unix.O_CLOEXEC, 0)
		if err != nil {
			return nil, nil, &os.PathError{Op: "open", Path: c.o.Command[c.o.File], Err: err}
		}
		files = append(files, os.NewFile(uintptr(fd), c.o.Command[c.o.File]))
	}
	for _, name := range sent {
		if v := os.Getenv(name); v != "" {
			r.Environment = append(r.Environment, name+"="+v)
		}
	}
	for _, e := range os.Environ() {
		if strings.HasPrefix(e, "LC_") {
			r.Environment = append(r.Environment, e)
		}
	}
	return r, files, nil
}

// forwarded are the signals that are the command's, not ours.
var forwarded = []os.Signal{unix.SIGHUP, unix.SIGINT, unix.SIGQUIT, unix.SIGTERM, unix.SIGUSR1, unix.SIGUSR2}

// converse follows the command to its end.
func (c *call) converse() (int, error) {
	signals := make(chan os.Signal, 64)
	// They are not given back: the process ends with the command, and that would
	// take a third of a millisecond.
	signal.Notify(signals, append([]os.Signal{unix.SIGTSTP, unix.SIGCONT, unix.SIGWINCH}, forwarded...)...)
	c.relay.stop = func() { c.suspend() }
	c.relay.gone = func() { signals <- unix.SIGHUP }
	type heard struct {
		wire.Event
		files []*os.File
		err   error
	}
	events := make(chan heard)
	over := make(chan struct{})
	defer close(over)
	listen := func(conn *wire.Conn) {
		for {
			f, _, err := conn.Receive(nil)
			h := heard{err: err}
			for _, d := range f.FDs {
				h.files = append(h.files, os.NewFile(uintptr(d), "the command's terminal"))
			}
			if err == nil {
				h.Event, h.err = wire.DecodeEvent(f.Kind, f.Payload)
			}
			select {
			case events <- h:
			case <-over:
				return
			}
			if h.err != nil {
				return
			}
		}
	}
	go listen(c.conn)
	for {
		select {
		case s := <-signals:
			c.signalled(s.(unix.Signal))
		case h := <-events:
			if h.err != nil {
				if err := c.again(h.err); err != nil {
					return 0, err
				}
				go listen(c.conn)
				continue
			}
			done, status, err := c.heard(h.Event, h.files)
			if done {
				return status, err
			}
		}
	}
}

func (c *call) next() (wire.Event, error) {
	_ = c.conn.SetReadDeadline(time.Now().Add(time.Second))
	f, _, err := c.conn.Receive(nil)
	f.Close()
	if err != nil {
		return wire.Event{}, err
	}
	return wire.DecodeEvent(f.Kind, f.Payload)
}

// heard acts on an event; done says that it was the last.
func (c *call) heard(v wire.Event, files []*os.File) (done bool, status int, err error) {
	switch v.Kind {
	case wire.Notice:
		c.relay.say(c.Err, "sessionctl: "+v.Text)
	case wire.Explained:
		_, err := io.WriteString(c.Out, v.Text)
		return true, 0, err
	case wire.Terminal:
		if len(files) != 1 {
			return true, 0, errf(exit.NoSession, "", "the broker sends no terminal")
		}
		c.relay.terminal(files[0])
		if err := c.conn.Send(wire.Event{Kind: wire.Go}); err != nil {
			return true, 0, errf(exit.NoDaemon, "", "ask the broker: %w", err)
		}
	case wire.Started:
		c.unit = v.Text
		if c.o.Detach {
			fmt.Fprintln(c.Out, v.Text)
			return true, 0, nil
		}
		c.relay.start()
	case wire.Ended:
		c.relay.finish()
		if v.Number > 0 {
			return true, 128 + int(v.Number), nil
		}
		return true, int(v.Code), nil
	case wire.Refused:
		c.relay.finish()
		return true, 0, refusedBy(v)
	}
	return false, 0, nil
}

// reasons are the exit codes of refusals.
var reasons = map[wire.Reason]exit.Code{
	wire.Denied: exit.Denied, wire.NotFound: exit.NoCommand, wire.NotExecutable: exit.NotExecutable, wire.NotStarted: exit.NoSession,
	wire.Mistaken: exit.Usage, wire.Lost: exit.NoSession, wire.Busy: exit.Busy,
}

func refusedBy(v wire.Event) error {
	code, ok := reasons[wire.Reason(v.Code)]
	if !ok {
		code = exit.NoSession
	}
	text := v.Text
	if wire.Reason(v.Code) == wire.Unpassable {
		return &exit.Error{Code: exit.Usage, Hint: v.Hint, Err: fmt.Errorf("%w: %s", errUnpassable, v.Text)}
	}
	if code == exit.Denied {
		text = "denied: " + text
	}
	return &exit.Error{Code: code, Hint: v.Hint, Err: errors.New(text)}
}

// comeBack is how long a daemon may take to come back.
const comeBack = 20 * time.Second

// again finds the command again after the daemon went away.
func (c *call) again(broken error) error {
	c.conn.Close()
	if c.unit == "" {
		return errf(exit.NoSession, "see sessionctl logs", "the broker hung up before the command was started: %w", broken)
	}
	for end := time.Now().Add(comeBack); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		if c.dial() != nil {
			continue
		}
		if c.conn.Send(wire.Event{Kind: wire.Attach, Text: c.unit}) == nil {
			return nil
		}
		c.conn.Close()
	}
	return errf(exit.NoSession, "systemctl status "+c.unit+" says what becomes of it",
		"the daemon is gone and does not come back: how the command ends is not known")
}

func (c *call) signalled(s unix.Signal) {
	switch s {
	case unix.SIGWINCH:
		c.relay.resize()
	case unix.SIGTSTP:
		c.suspend()
	case unix.SIGCONT:
		c.resume()
	default:
		_ = c.conn.Send(wire.Event{Kind: wire.Signal, Number: uint32(s)})
		if s == unix.SIGHUP {
			// There is nobody left to relay for; the broker ends the command.
			c.relay.hangUp()
		}
	}
}

// suspend stops the command and then us, as a shell expects of a job. Without
// a shell above us nobody could let us go on.
func (c *call) suspend() {
	ours, err := unix.Getsid(0)
	if above, aerr := unix.Getsid(os.Getppid()); err != nil || aerr != nil || above != ours {
		return
	}
	c.relay.restore()
	_ = c.conn.Send(wire.Event{Kind: wire.Signal, Number: uint32(unix.SIGSTOP)})
	// All of our job: a pipeline stops as a whole.
	_ = unix.Kill(0, unix.SIGSTOP)
	c.resume()
}

// resume goes on where we were stopped, or where a shell has brought us into
// the foreground.
func (c *call) resume() {
	c.relay.raw()
	c.relay.resize()
	_ = c.conn.Send(wire.Event{Kind: wire.Signal, Number: uint32(unix.SIGCONT)})
}
