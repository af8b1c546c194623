package machine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Terminal is a program in the machine on a terminal of its own, whose other
// end is a person that reads and types. Close must be called.
type Terminal struct {
	master *os.File
	cmd    *exec.Cmd
	ended  chan struct{}
	code   int
	read   []byte // everything that was shown, carriage returns left out
	seen   int    // how much of it an Expect has gone past
}

// Terminal starts a program as root on a new terminal.
func (m *Machine) Terminal(ctx context.Context, args ...string) (*Terminal, error) {
	l := m.launch
	if l == nil {
		return nil, errors.New("the machine is off")
	}
	// Of the machine's devpts, so that programs there find their terminal's name.
	pts := filepath.Join("/proc", strconv.Itoa(m.leader), "root/dev/pts")
	master, err := os.OpenFile(filepath.Join(pts, "ptmx"), os.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	t := &Terminal{master: master, ended: make(chan struct{}), code: -1}
	slave, err := t.slave(pts)
	if err != nil {
		return nil, errors.Join(err, master.Close())
	}
	defer slave.Close()
	dir, err := os.Open(l.cgroup.inside(commandUnit))
	if err != nil {
		return nil, errors.Join(err, master.Close())
	}
	defer dir.Close()
	// The program leads the session itself: login(1) hangs the terminal up, which is the end of a leader above it.
	t.cmd = m.Command(ctx, append([]string{"setsid", "--ctty"}, args...)...)
	t.cmd.Env = append(t.cmd.Env, "TERM=dumb")
	t.cmd.Stdin, t.cmd.Stdout, t.cmd.Stderr = slave, slave, slave
	t.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, UseCgroupFD: true, CgroupFD: int(dir.Fd())}
	if err := t.cmd.Start(); err != nil {
		return nil, errors.Join(err, master.Close())
	}
	go func() {
		defer close(t.ended)
		t.cmd.Wait()
		t.code = t.cmd.ProcessState.ExitCode()
	}()
	return t, nil
}

func (t *Terminal) slave(pts string) (*os.File, error) {
	fd := int(t.master.Fd())
	// Fd makes the file blocking; deadlines need it the other way.
	if err := unix.SetNonblock(fd, true); err != nil {
		return nil, err
	}
	number, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		return nil, fmt.Errorf("the terminal's number: %w", err)
	}
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		return nil, fmt.Errorf("unlock the terminal: %w", err)
	}
	return os.OpenFile(filepath.Join(pts, strconv.Itoa(number)), os.O_RDWR|unix.O_NOCTTY, 0)
}

// Expect waits until what is shown after the last Expect matches one of the patterns, and
// returns which, with its submatches.
func (t *Terminal) Expect(within time.Duration, patterns ...*regexp.Regexp) (int, []string, error) {
	end := time.Now().Add(within)
	for {
		fresh := t.read[t.seen:]
		for i, p := range patterns {
			if at := p.FindSubmatchIndex(fresh); at != nil {
				found := make([]string, len(at)/2)
				for j := range found {
					if at[2*j] >= 0 {
						found[j] = string(fresh[at[2*j]:at[2*j+1]])
					}
				}
				t.seen += at[1]
				return i, found, nil
			}
		}
		if time.Now().After(end) {
			return -1, nil, fmt.Errorf("%s did not come within %s", patterns, within)
		}
		if !t.fill() {
			return -1, nil, fmt.Errorf("it ended before %s came", patterns)
		}
	}
}

// fill reads some of what is shown, if there is any; false means that there
// will be no more.
func (t *Terminal) fill() bool {
	over := false
	select {
	case <-t.ended:
		over = true
	default:
	}
	var b [4096]byte
	t.master.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	n, err := t.master.Read(b[:])
	t.read = append(t.read, strings.ReplaceAll(string(b[:n]), "\r", "")...)
	if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) && !over {
		// Hung up: login(1) does that on its way, and opens the terminal again.
		time.Sleep(10 * time.Millisecond)
	}
	return n > 0 || !over
}

// Type sends text, to be followed by "\n" where a person would press Enter.
func (t *Terminal) Type(text string) error {
	t.master.SetWriteDeadline(time.Now().Add(5 * time.Second))
	_, err := t.master.WriteString(text)
	return err
}

// Shown is everything that was shown so far.
func (t *Terminal) Shown() string { return string(t.read) }

// Wait waits until the program has ended, and returns its exit status.
func (t *Terminal) Wait(within time.Duration) (int, error) {
	end := time.Now().Add(within)
	for t.fill() {
		if time.Now().After(end) {
			return -1, fmt.Errorf("it does not end within %s", within)
		}
	}
	return t.code, nil
}

// Close hangs up; what still runs on the terminal is sent SIGHUP.
func (t *Terminal) Close() {
	t.master.Close()
	t.cmd.Process.Kill()
	<-t.ended
}

// Read reads what is shown, for a person at the other end; io.EOF comes when
// the program has ended.
func (t *Terminal) Read(b []byte) (int, error) {
	for {
		t.master.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
		n, err := t.master.Read(b)
		if n > 0 {
			return n, nil
		}
		select {
		case <-t.ended:
			return 0, io.EOF
		default:
		}
		if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			time.Sleep(10 * time.Millisecond)
		}
	}
}

// Write types b.
func (t *Terminal) Write(b []byte) (int, error) { return len(b), t.Type(string(b)) }
