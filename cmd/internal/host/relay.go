package host

import (
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"ninefold/sessiond/broker/wire"
)

// relay carries bytes between our terminal and the command, which never gets a
// descriptor of ours.
type relay struct {
	in, out *os.File // our terminal, with a terminal of the command's
	master  *os.File
	stop    func() // suspends us
	gone    func() // is told once when our terminal has hung up

	mu     sync.Mutex
	before *term.State // of our terminal, when it is raw

	pipes  []pipe
	output sync.WaitGroup
}

// pipe is what stands for our terminal where the command gets no terminal.
type pipe struct {
	from, to *os.File
	output   bool
}

// streams decides what each standard stream of the command is.
func (c *call) streams(r *wire.Request) (files []*os.File, err error) {
	std := [3]*os.File{c.In, c.Out, c.Err}
	var terminal [3]bool
	for i, f := range std {
		terminal[i] = term.IsTerminal(int(f.Fd()))
	}
	own := terminal[0] && terminal[1] && !c.o.NoTTY && !c.o.Detach && !c.o.Explain
	if own {
		c.relay.in, c.relay.out = c.In, c.Out
	}
	for i, f := range std {
		switch {
		case own && (i < 2 || terminal[2] && sameTerminal(c.Out, c.Err)):
			r.Streams[i] = wire.OwnTerminal
		case c.o.Detach && (!isRegular(f) || served(f)):
			// Whoever reads a pipe of ours would wait for the command.
			r.Streams[i] = wire.Null
		case !terminal[i] && !c.o.apart() && !(c.piped && isRegular(f)) && !served(f):
			r.Streams[i] = wire.Passed
			files = append(files, f)
		case c.o.Explain:
			r.Streams[i] = wire.Null
		default:
			read, write, err := os.Pipe()
			if err != nil {
				return nil, err
			}
			p, theirs := pipe{from: read, to: f, output: true}, write
			if i == 0 {
				p, theirs = pipe{from: f, to: write}, read
			}
			c.relay.pipes = append(c.relay.pipes, p)
			c.ours = append(c.ours, theirs)
			r.Streams[i] = wire.Passed
			files = append(files, theirs)
		}
	}
	return files, nil
}

func isRegular(f *os.File) bool {
	st, err := f.Stat()
	return err == nil && st.Mode().IsRegular()
}

// served reports whether a file is one of FUSE, which a process serves: the
// broker would wait for that, and takes none.
func served(f *os.File) bool {
	var st unix.Statfs_t
	return isRegular(f) && unix.Fstatfs(int(f.Fd()), &st) == nil && st.Type == unix.FUSE_SUPER_MAGIC
}

func sameTerminal(a, b *os.File) bool {
	var x, y unix.Stat_t
	return unix.Fstat(int(a.Fd()), &x) == nil && unix.Fstat(int(b.Fd()), &y) == nil && x.Rdev == y.Rdev
}

// terminal takes the command's terminal, and sets it up like ours.
func (r *relay) terminal(master *os.File) {
	r.master = master
	if r.in == nil {
		return
	}
	if t, err := unix.IoctlGetTermios(int(r.in.Fd()), unix.TCGETS); err == nil {
		r.control(func(fd int) { _ = unix.IoctlSetTermios(fd, unix.TCSETS, t) })
	}
	r.resize()
}

func (r *relay) control(f func(fd int)) {
	if r.master == nil {
		return
	}
	if raw, err := r.master.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) { f(int(fd)) })
	}
}

func (r *relay) resize() {
	if r.in == nil {
		return
	}
	if size, err := unix.IoctlGetWinsize(int(r.in.Fd()), unix.TIOCGWINSZ); err == nil {
		r.control(func(fd int) { _ = unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, size) })
	}
}

// foreground reports whether we are the job that our terminal listens to.
func (r *relay) foreground() bool {
	group, err := unix.IoctlGetInt(int(r.in.Fd()), unix.TIOCGPGRP)
	return err == nil && group == unix.Getpgrp()
}

// raw hands every key to the command's terminal. A job in the background must
// not touch ours.
func (r *relay) raw() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.in == nil || r.master == nil || r.before != nil || !r.foreground() {
		return
	}
	r.before, _ = term.MakeRaw(int(r.in.Fd()))
}

// restore gives our terminal back as it was.
func (r *relay) restore() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.before != nil {
		_ = term.Restore(int(r.in.Fd()), r.before)
		r.before = nil
	}
}

// say writes a line of ours where the terminal may be raw.
func (r *relay) say(to io.Writer, line string) {
	end := "\n"
	r.mu.Lock()
	if r.before != nil {
		end = "\r\n"
	}
	r.mu.Unlock()
	_, _ = io.WriteString(to, strings.TrimRight(line, "\n")+end)
}

// start begins to copy.
func (r *relay) start() {
	for _, p := range r.pipes {
		if p.output {
			r.output.Go(func() { _, _ = io.Copy(p.to, p.from) })
			continue
		}
		go func() {
			_, _ = io.Copy(p.to, p.from)
			p.to.Close()
		}()
	}
	if r.master == nil {
		return
	}
	r.raw()
	r.output.Go(func() { _, _ = io.Copy(r.out, r.master) })
	go r.keys()
}

// keys copies what is typed. Reading our terminal cannot be interrupted: it
// ends with the process.
func (r *relay) keys() {
	buf := make([]byte, 4096)
	for {
		n, err := r.in.Read(buf)
		typed := buf[:n]
		for len(typed) > 0 {
			at := r.suspends(typed)
			if at < 0 {
				at = len(typed)
			}
			if _, err := r.master.Write(typed[:at]); err != nil {
				return
			}
			if typed = typed[at:]; len(typed) > 0 {
				typed = typed[1:]
				r.stop()
			}
		}
		if err != nil {
			// The kernel tells the leader of the session alone, which may be a login
			// program that stays.
			if r.hungUp() {
				r.gone()
			}
			return // the end of input, or a terminal that is gone
		}
	}
}

// hungUp reports whether our terminal is gone: nothing can be asked of it any more.
func (r *relay) hungUp() bool {
	_, err := unix.IoctlGetTermios(int(r.in.Fd()), unix.TCGETS)
	return err == unix.EIO
}

// suspends finds a key that would stop the command where nothing on the host
// could let it go on: its first process leads its terminal's session, and there
// is no shell above it. It is our job that stops then. -1 is none.
func (r *relay) suspends(typed []byte) int {
	at := -1
	r.control(func(fd int) {
		t, err := unix.IoctlGetTermios(fd, unix.TCGETS)
		if err != nil || t.Lflag&unix.ISIG == 0 || t.Cc[unix.VSUSP] == 0 {
			return
		}
		group, err := unix.IoctlGetInt(fd, unix.TIOCGPGRP)
		if err != nil {
			return
		}
		leader, err := unix.IoctlGetInt(fd, unix.TIOCGSID)
		if err != nil || leader != group {
			return // a shell there has jobs of its own
		}
		at = strings.IndexByte(string(typed), t.Cc[unix.VSUSP])
	})
	return at
}

// drain is how long output may pause after the command has ended: nothing can
// come any more but what something else on the host still holds open.
const drain = time.Second

// finish waits for the last output and gives the terminal back.
func (r *relay) finish() {
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.output.Wait()
	}()
	select {
	case <-done:
	case <-time.After(drain):
		for _, p := range r.pipes {
			if p.output {
				_ = p.from.SetReadDeadline(time.Now().Add(drain))
			}
		}
		if r.master != nil {
			_ = r.master.SetReadDeadline(time.Now().Add(drain))
		}
		<-done
	}
	r.restore()
}

// hangUp lets nothing wait for a terminal that is gone.
func (r *relay) hangUp() {
	if r.master != nil {
		_ = r.master.SetDeadline(time.Unix(1, 0))
	}
}
