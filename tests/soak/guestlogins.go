package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// consoleFile is where a guest's login program is asked to sit: the one terminal of a
// container that is no pseudo-terminal to the daemon (sessiond/login).
const consoleFile = "/dev/console"

// guestLogin is the login of a guest in front of the machine.
type guestLogin struct {
	master *os.File
	login  *exec.Cmd
	over   chan struct{} // closed when the login program is gone

	mu   sync.Mutex
	said bytes.Buffer
}

// sitDown has somebody type guest in front of the machine.
func sitDown() (g *guestLogin, err error) {
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			master.Close()
		}
	}()
	fd := int(master.Fd())
	number, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)
	}
	if err == nil {
		err = unix.SetNonblock(fd, true) // Fd made it wait, and a close would wait for a read
	}
	if err != nil {
		return nil, err
	}
	name := "/dev/pts/" + strconv.Itoa(number)
	for standUp() == nil { // of a soak that was killed
	}
	if f, err := os.OpenFile(consoleFile, os.O_CREATE|unix.O_NOCTTY, 0o600); err == nil {
		f.Close()
	}
	if err := unix.Mount(name, consoleFile, "", unix.MS_BIND, ""); err != nil {
		return nil, fmt.Errorf("make a terminal the console: %w", err)
	}
	slave, err := os.OpenFile(consoleFile, os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, errors.Join(err, standUp())
	}
	defer slave.Close()
	g = &guestLogin{master: master, over: make(chan struct{}), login: exec.Command("login", "guest")}
	g.login.Env = []string{"TERM=dumb", "PATH=/usr/sbin:/usr/bin:/sbin:/bin"}
	g.login.Stdin, g.login.Stdout, g.login.Stderr = slave, slave, slave
	g.login.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := g.login.Start(); err != nil {
		return nil, errors.Join(err, standUp())
	}
	go g.listen()
	go func() {
		defer close(g.over)
		_ = g.login.Wait()
	}()
	return g, nil
}

// standUp gives the console back.
func standUp() error { return unix.Unmount(consoleFile, unix.MNT_DETACH) }

// listen notes what is shown until the terminal is gone.
func (g *guestLogin) listen() {
	buf := make([]byte, 4096)
	for {
		n, err := g.master.Read(buf)
		g.mu.Lock()
		g.said.Write(buf[:n])
		g.mu.Unlock()
		if errors.Is(err, unix.EIO) && !g.isOver() {
			time.Sleep(5 * time.Millisecond) // login(1) hangs its terminal up once, and opens it again
			continue
		}
		if err != nil {
			return
		}
	}
}

func (g *guestLogin) isOver() bool {
	select {
	case <-g.over:
		return true
	default:
		return false
	}
}

func (g *guestLogin) shown() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.said.String()
}

// inside waits until the guest has a shell, and leaves behind in it what it can.
func (g *guestLogin) inside() error {
	for deadline := time.Now().Add(2 * patience); !strings.HasSuffix(g.shown(), "$ ") && time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		// On a busy machine the daemon may not answer in time.
		if strings.Contains(g.shown(), "no guest can come in") {
			return fmt.Errorf("%w; shown:\n%s", errRefused, g.shown())
		}
	}
	if !strings.HasSuffix(g.shown(), "$ ") {
		return fmt.Errorf("a guest does not get a shell in front of the machine; shown:\n%s", g.shown())
	}
	_, err := g.master.WriteString(strings.ReplaceAll(guestLeaves, "\n", "; ") + "; echo li''ttered\n")
	if err != nil {
		return err
	}
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if strings.Contains(g.shown(), "littered") {
			return nil
		}
	}
	return fmt.Errorf("a guest's shell does nothing; shown:\n%s", g.shown())
}

// killAny kills one of the processes that make the login and its session.
func (g *guestLogin) killAny() error {
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		all, err := descendants(g.login.Process.Pid)
		if err != nil {
			return err
		}
		all = append(all, g.login.Process.Pid)
		keepers, err := running("\x00-keep-guest\x00")
		if err != nil {
			return err
		}
		for _, pid := range keepers {
			more, err := descendants(pid)
			if err != nil {
				return err
			}
			all = append(append(all, pid), more...)
		}
		if unix.Kill(all[rand.IntN(len(all))], unix.SIGKILL) == nil {
			return nil
		}
		if g.isOver() {
			return nil
		}
	}
	return nil
}

// running are the processes with that in their command lines.
func running(part string) (pids []int, err error) {
	lines, err := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, name := range lines {
		text, err := os.ReadFile(name)
		if err == nil && bytes.Contains(text, []byte(part)) {
			pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(name)))
			pids = append(pids, pid)
		}
	}
	return pids, err
}

// anyMoment waits for some part of twice what a login takes here.
func anyMoment() {
	time.Sleep(rand.N(2 * max(time.Duration(usualLogin.Load()), shortLogin)))
}

// shortLogin is what a login takes at least.
const shortLogin = 100 * time.Millisecond

// loginEnds are the ways in which a guest's login ends here.
var loginEnds = []struct {
	name string
	do   func(g *guestLogin) error
}{
	{"by itself", func(g *guestLogin) error {
		if err := g.inside(); err != nil {
			return err
		}
		_, err := g.master.WriteString("exit\n")
		return errors.Join(err, g.gone())
	}},
	{"a process killed at any moment", func(g *guestLogin) error { anyMoment(); return g.killAny() }},
	{"a process killed when the guest is in", func(g *guestLogin) error {
		if err := g.inside(); err != nil {
			return err
		}
		return g.killAny()
	}},
	{"the terminal gone at any moment", func(*guestLogin) error { anyMoment(); return nil }},
	{"the daemon killed at any moment", func(*guestLogin) error {
		anyMoment()
		return exec.Command("systemctl", "kill", "--signal=SIGKILL", "sessiond.service").Run()
	}},
}

// gone waits until the login program has ended.
func (g *guestLogin) gone() error {
	select {
	case <-g.over:
		return nil
	case <-time.After(2 * patience):
		there, _ := exec.Command("ps", "-e", "-o", "pid,ppid,pgid,sid,tty,stat,wchan:24,ignored,uid,args", "--forest").Output()
		return fmt.Errorf("the login program %d goes on; there is:\n%sshown:\n%s", g.login.Process.Pid, there, g.shown())
	}
}

// errRefused says that the guest was not let in.
var errRefused = errors.New("a guest is refused")

// oneGuestLogin has a guest log in, and ends that in one of the ways.
func oneGuestLogin(ctx context.Context, how int) (err error) {
	// Those before may still be on their way out.
	for deadline := time.Now().Add(2 * patience); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if err = tryGuestLogin(ctx, how); !errors.Is(err, errRefused) {
			break
		}
	}
	return err
}

func tryGuestLogin(ctx context.Context, how int) (err error) {
	if err := daemonUp(ctx); err != nil {
		return err
	}
	begun := time.Now()
	g, err := sitDown()
	if err != nil {
		return err
	}
	err = loginEnds[how].do(g)
	if how == 0 && err == nil {
		usualLogin.Store(int64(time.Since(begun) / 2))
	}
	_ = g.master.Close() // hangs up
	gone := g.gone()
	return errors.Join(err, gone, standUp())
}

// daemonUp waits until the daemon answers again.
func daemonUp(ctx context.Context) error {
	var out []byte
	for deadline := time.Now().Add(2 * patience); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		out, _ = exec.CommandContext(ctx, "systemctl", "is-active", "sessiond.service").Output()
		if string(out) == "active\n" {
			return nil
		}
	}
	return fmt.Errorf("the daemon is %s", out)
}

// usualLogin is about what a login takes here, in nanoseconds.
var usualLogin atomic.Int64

// guestLoginRound has n guests log in one after the other. Where it is steady nobody
// kills the daemon.
func guestLoginRound(ctx context.Context, n int, steady bool) error {
	ways := len(loginEnds)
	if steady {
		ways-- // the daemon's is the last
	}
	for i := range n {
		how := i % ways
		if err := oneGuestLogin(ctx, how); err != nil {
			return fmt.Errorf("%s: %w", loginEnds[how].name, err)
		}
	}
	return nil
}

// killGuest kills one of the processes that make the login of a guest at a greeter and its
// session, at some moment while that is made. Where it is not steady the daemon is one.
func killGuest(steady bool) error {
	time.Sleep(rand.N(greeterLogin))
	for deadline := time.Now().Add(greeterLogin); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		var all []int
		// Of the display managers those that have the login, and what they started.
		for _, part := range []string{"\x00-keep-guest\x00", "--session-worker", "--session-child"} {
			found, err := running(part)
			if err != nil {
				return err
			}
			for _, pid := range found {
				more, err := descendants(pid)
				if err != nil {
					return err
				}
				all = append(append(all, pid), more...)
			}
		}
		if daemon, err := running("sessiond\x00-inside"); err == nil && !steady && len(all) > 0 {
			all = append(all, daemon...)
		}
		if len(all) > 0 && unix.Kill(all[rand.IntN(len(all))], unix.SIGKILL) == nil {
			return nil
		}
	}
	return nil // it was refused, or over before
}

// greeterLogin is about what a login takes at a greeter.
const greeterLogin = 1500 * time.Millisecond
