package namespaces

import (
	"io"
	"os"
	"os/signal"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

// relay copies between the caller's terminal and the session's, so that the
// session never holds a descriptor of the caller's terminal: with one it could
// push characters into the caller's input (TIOCSTI) or outlive the session on it.
type relay struct {
	master  *os.File
	in, out *os.File
	restore *term.State
	resize  chan os.Signal
	output  sync.WaitGroup
	ended   atomic.Bool // the command has: see tail
	input   sync.WaitGroup
	enough  *os.File // closed when no more is to be read
	stop    sync.Once
}

func newRelay(master, in, out *os.File) *relay {
	return &relay{master: master, in: in, out: out}
}

// start puts the caller's terminal into raw mode and begins to copy. Keys such
// as Ctrl-C and Ctrl-Z thus act in the session's terminal, on its jobs.
func (r *relay) start() {
	if state, err := term.MakeRaw(int(r.in.Fd())); err == nil {
		r.restore = state
	}
	r.copySize()
	r.resize = make(chan os.Signal, 1)
	signal.Notify(r.resize, unix.SIGWINCH)
	go func() {
		for range r.resize {
			r.copySize()
		}
	}()
	r.output.Add(1)
	go func() {
		defer r.output.Done()
		r.copyOutput()
	}()
	over, enough, err := os.Pipe()
	if err != nil {
		// The goroutine then ends with the process or at the next key, whose write fails.
		go func() { _, _ = io.Copy(r.master, r.in) }()
		return
	}
	r.enough = enough
	r.input.Go(func() {
		defer over.Close()
		r.copyKeys(int(over.Fd()))
	})
}

// After the command has ended others may still have its terminal open, and write to it.
// What the command wrote is shown: tail more than the kernel keeps of a terminal's output
// (TTYB_DEFAULT_MEM_LIMIT in tty_buffer.c), or what comes before a pause of drain.
const (
	tail  = 1 << 20
	drain = 200 * time.Millisecond
)

// copyOutput copies until the last user of the terminal is gone, which is an EIO, or the
// command and what it wrote are.
func (r *relay) copyOutput() {
	b := make([]byte, 32<<10)
	for left := tail; left > 0; {
		ended := r.ended.Load()
		if ended {
			_ = r.master.SetReadDeadline(time.Now().Add(drain))
		}
		n, err := r.master.Read(b)
		if n > 0 {
			if _, werr := r.out.Write(b[:n]); werr != nil {
				return
			}
		}
		if err != nil {
			return
		}
		if ended {
			left -= n
		}
	}
}

// copyKeys copies what is typed until there is something about over. A read of a
// terminal cannot be interrupted: it would take the next key, which is somebody
// else's by then, and keep the terminal open.
func (r *relay) copyKeys(over int) {
	keys := int(r.in.Fd())
	b := make([]byte, 4096)
	for {
		ready := []unix.PollFd{{Fd: int32(keys), Events: unix.POLLIN}, {Fd: int32(over), Events: unix.POLLIN}}
		if _, err := unix.Poll(ready, -1); err == unix.EINTR {
			continue
		} else if err != nil || ready[1].Revents != 0 {
			return
		}
		n, err := unix.Read(keys, b)
		if err == unix.EINTR || err == unix.EAGAIN {
			continue
		}
		if err != nil || n <= 0 {
			return
		}
		if _, err := r.master.Write(b[:n]); err != nil {
			return
		}
	}
}

func (r *relay) copySize() {
	size, err := unix.IoctlGetWinsize(int(r.in.Fd()), unix.TIOCGWINSZ)
	if err != nil {
		return
	}
	raw, err := r.master.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) { _ = unix.IoctlSetWinsize(int(fd), unix.TIOCSWINSZ, size) })
}

// finish waits for the last output and gives the terminal back as it was.
func (r *relay) finish() {
	r.stop.Do(func() {
		r.ended.Store(true)
		_ = r.master.SetReadDeadline(time.Now().Add(drain)) // of a read that waits already
		r.output.Wait()
		signal.Stop(r.resize)
		close(r.resize)
		r.abandon()
	})
}

// abandon gives the terminal back without waiting for output; a second call does
// nothing.
func (r *relay) abandon() {
	if r.enough != nil {
		r.enough.Close()
	}
	r.master.Close() // and ends a write to a session that does not read
	r.input.Wait()
	r.enough = nil
	if r.restore != nil {
		_ = term.Restore(int(r.in.Fd()), r.restore)
		r.restore = nil
	}
}
