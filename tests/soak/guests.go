package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"ninefold/tests/machine"
)

// guestsRound is after how many guests everything stops and is looked at.
const guestsRound = 30

// guestSoak has n guests in on a booted machine of a release, each killed somewhere or none.
func guestSoak(ctx context.Context, suite string, n int) (err error) {
	m, err := guestMachine(ctx, suite, nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.Close()) }()
	for done := 0; done < n && ctx.Err() == nil; done += guestsRound {
		said, err := inside(ctx, m, roundGuests, strconv.Itoa(min(guestsRound, n-done)))
		if err != nil {
			return fmt.Errorf("after %d guests: %w", done, err)
		}
		fmt.Printf("soak: %6d x guest on %s, %s", min(done+guestsRound, n), suite, said)
	}
	return ctx.Err()
}

// guestMachine boots a machine with this program in it.
func guestMachine(ctx context.Context, suite string, set *machine.Set) (*machine.Machine, error) {
	top, err := os.Getwd()
	if err != nil {
		return nil, err
	}
	m, err := machine.Start(ctx, suite, machine.Options{Set: set})
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err == nil {
		err = errors.Join(m.Install(ctx, top), m.CopyIn(ctx, self, "/usr/local/bin/soak", 0o755))
	}
	if err != nil {
		return nil, errors.Join(err, m.Close())
	}
	return m, nil
}

// inside runs this program in a machine, and returns what it says.
func inside(ctx context.Context, m *machine.Machine, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 20*patience)
	defer cancel()
	r := m.Run(ctx, append([]string{"soak"}, args...)...)
	if !r.OK() {
		return "", errors.New(r.String())
	}
	return r.Stdout, nil
}

// What this program is run for in a machine.
const (
	roundGuests  = "guests"
	roundLogins  = "guestlogins"
	whatIsLeft   = "left"
	killAtMoment = "killguest"
	// steadily is said where nobody kills the daemon.
	steadily = "steadily"
)

var inMachine = map[string]func(context.Context, []string) error{
	"knock": func(_ context.Context, args []string) error { return knock(args) },
	roundGuests: func(ctx context.Context, args []string) error {
		return counted(args, func(n int, _ bool) error { return guestRound(ctx, n) })
	},
	roundLogins: func(ctx context.Context, args []string) error {
		return counted(args, func(n int, steady bool) error { return guestLoginRound(ctx, n, steady) })
	},
	killAtMoment: func(_ context.Context, args []string) error { return killGuest(slices.Contains(args, steadily)) },
	whatIsLeft:   func(ctx context.Context, args []string) error { return sameAsBefore(ctx, args) },
}

func counted(args []string, round func(n int, steady bool) error) error {
	if len(args) == 0 {
		return errors.New("how many?")
	}
	n, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	return round(n, slices.Contains(args, steadily))
}

// howEnds are the ways in which a guest's session ends here.
var howEnds = []struct {
	name string
	do   func(g *guestSession) error
}{
	{"by itself", func(g *guestSession) error { return g.inside() }},
	{"its keeper killed at any moment", func(g *guestSession) error {
		time.Sleep(time.Duration(rand.IntN(200)) * time.Millisecond)
		return g.keeper.Process.Kill()
	}},
	{"a process of it killed at its start, its first or the probe", func(g *guestSession) error { return g.killOne(0) }},
	{"a process of it killed when it is in", func(g *guestSession) error { return errors.Join(g.inside(), g.killOne(1)) }},
	{"the daemon killed", func(g *guestSession) error {
		return errors.Join(g.inside(), exec.Command("systemctl", "kill", "--signal=SIGKILL", "sessiond.service").Run(), g.keeper.Process.Signal(syscall.SIGTERM))
	}},
}

// guestLeaves is a guest that leaves behind what it can.
const guestLeaves = `echo x > ~/f; echo x > /tmp/f; echo x > /var/tmp/f; echo x > /dev/shm/f; mkfifo /tmp/p; ln -s / /tmp/l
ipcmk -M 4096 -S 1 -Q >/dev/null; (setsid sleep 1000 &)`

// guestScript does that and says when it is in. It ends with its input.
const guestScript = guestLeaves + `; sleep 1000 & echo in; read x; date +%s%N`

type guestSession struct {
	keeper *exec.Cmd
	out    *bytes.Buffer
	in     chan struct{} // closed when the guest is in, or never will be
}

// inside waits until the guest is in.
func (g *guestSession) inside() error {
	select {
	case <-g.in:
		return nil
	case <-time.After(2 * patience):
		return errors.New("the guest does not come in")
	}
}

// killOne kills a process that the keeper began, when there are more than some of them.
func (g *guestSession) killOne(more int) error {
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		all, err := descendants(g.keeper.Process.Pid)
		if err != nil {
			return err
		}
		if len(all) > more {
			if pid := all[rand.IntN(len(all))]; syscall.Kill(pid, syscall.SIGKILL) == nil {
				return nil
			}
		}
	}
	return nil // it was over before
}

// oneGuest has a guest in and ends it; took is how long after the guest's last act everything
// of it was shown to be gone but for the search of file systems, and 0 where that is not known.
func oneGuest(ctx context.Context, how int) (took time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, 4*patience)
	defer cancel()
	g := &guestSession{keeper: exec.CommandContext(ctx, "sessionctl", "run", "guest", "--", "bash", "-c", guestScript), out: &bytes.Buffer{}, in: make(chan struct{})}
	g.keeper.WaitDelay = patience
	input, err := g.keeper.StdinPipe()
	if err != nil {
		return 0, err
	}
	output, err := g.keeper.StdoutPipe()
	if err != nil {
		return 0, err
	}
	if err := g.keeper.Start(); err != nil {
		return 0, err
	}
	read := make(chan struct{})
	go func() {
		defer close(read)
		first := make([]byte, 3)
		_, _ = io.ReadFull(output, first)
		close(g.in)
		_, _ = io.Copy(g.out, output)
	}()
	err = howEnds[how].do(g)
	_ = input.Close()
	<-read
	_ = g.keeper.Wait()
	if ended, perr := strconv.ParseInt(strings.TrimSpace(g.out.String()), 10, 64); perr == nil && how == 0 {
		took = time.Since(time.Unix(0, ended))
	}
	if how == 0 && took == 0 {
		err = errors.Join(err, fmt.Errorf("a guest that nobody disturbed ended with %s", g.keeper.ProcessState))
	}
	return took, err
}

// guestRound has n guests in, four at a time, and looks for what is left of them.
func guestRound(ctx context.Context, n int) error {
	before, err := guestsLeft()
	if err != nil {
		return err
	}
	var mu sync.Mutex
	var errs []error
	var ends []time.Duration
	var group sync.WaitGroup
	for worker := range 4 {
		group.Go(func() {
			for i := worker; i < n; i += 4 {
				took, err := oneGuest(ctx, i%len(howEnds))
				mu.Lock()
				if err != nil {
					errs = append(errs, fmt.Errorf("%s: %w", howEnds[i%len(howEnds)].name, err))
				}
				if took > 0 {
					ends = append(ends, took)
				}
				mu.Unlock()
			}
		})
	}
	group.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	begun := time.Now()
	if err := nothingLeft(ctx, before); err != nil {
		return err
	}
	slices.Sort(ends)
	fmt.Printf("nothing left; a guest's end to everything but files looked for %s (median), the search of files %s\n",
		ends[len(ends)/2].Round(time.Millisecond), time.Since(begun).Round(time.Millisecond))
	return nil
}

// sameAsBefore notes in a file what there is, or wants nothing to be there that is not in it.
func sameAsBefore(ctx context.Context, args []string) error {
	if len(args) != 1 {
		return errors.New("left FILE")
	}
	before, err := os.ReadFile(args[0])
	if err == nil {
		return nothingLeft(ctx, string(before))
	}
	now, err := guestsLeft()
	if err != nil {
		return err
	}
	return os.WriteFile(args[0], []byte(now), 0o600)
}

// nothingLeft sweeps until nothing is there that was not before.
func nothingLeft(ctx context.Context, before string) error {
	var left string
	// A keeper waits a minute for a guest whose login program was killed.
	for deadline := time.Now().Add(4 * patience); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		// Where something is left, it says so again below.
		said, _ := exec.CommandContext(ctx, "sessionctl", "guest", "sweep").CombinedOutput()
		now, err := guestsLeft()
		if err != nil {
			return err
		}
		if left = since(before, now); left == "" {
			return nil
		}
		left += string(said)
	}
	return fmt.Errorf("what was not there before:\n%s", left)
}

// since are the lines of now that before had not.
func since(before, now string) string {
	had := strings.Split(before, "\n")
	return strings.Join(slices.DeleteFunc(strings.Split(now, "\n"), func(line string) bool { return slices.Contains(had, line) }), "\n")
}
