package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"ninefold/namespaces/plan"
	"ninefold/sessiond/decided"
	"ninefold/sessiond/guests"
)

const (
	nameGuest     = "sessionctl run guest"
	nameGuestPool = "ninefold, a prepared guest, in process"
	nameGuestMade = "ninefold, a guest, in process"
	nameJail      = "bubblewrap, the same jail"
	// heldGuests are open at once.
	heldGuests = 100
)

// guests measures the start of guests, from the call until their command speaks,
// and their end.
func (b *bench) guests(ctx context.Context) (err error) {
	state := filepath.Join(b.dir, "guests")
	g := &guestBench{bench: b, state: state, all: guests.Open(state).Asking(""), took: map[string][]time.Duration{}}
	if err := os.Mkdir(state, 0o700); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, g.sweep(context.WithoutCancel(ctx))) }()
	sessionctl := []string{filepath.Join(b.bin, "sessionctl"), "--state", state, "run", "guest", "--", "/bin/echo", "in"}
	// The first decides, the second keeps it.
	for range 2 {
		if _, err := timed(ctx, sessionctl...); err != nil {
			return err
		}
		time.Sleep(2500 * time.Millisecond)
	}
	text, err := exec.CommandContext(ctx, sessionctl[0], "--state", state, "ns", "guest").Output()
	if err != nil {
		return fmt.Errorf("the plan of a guest: %w", err)
	}
	p, err := plan.Parse("guest", text)
	if err != nil {
		return err
	}
	g.decided = &decided.Session{Profile: "guest", Plan: p, Guest: guests.FirstID}
	jail, err := b.jail(ctx, g.decided.Plan)
	if err != nil {
		return err
	}
	results, failed := interleave(ctx, b.rounds, []contender{
		{"true alone: fork and exec", speaks("/bin/echo", "in")}, {nameJail, speaks(jail...)}, {nameGuest, speaks(sessionctl...)},
		{nameGuestMade, g.make}, {nameGuestPool, g.fromPool},
	})
	if err := errors.Join(ctx.Err(), failed[nameGuest], failed[nameGuestMade], failed[nameGuestPool]); err != nil {
		return err
	}
	b.table.section("a guest's start, until the command speaks")
	for _, name := range []string{"true alone: fork and exec", nameJail, nameGuest, nameGuestMade, nameGuestPool} {
		r, ok := results[name]
		if !ok {
			b.table.note("%s: %v", name, failed[name])
			continue
		}
		b.table.add(row{what: name, value: fmt.Sprintf("%6.2f ms ±%.2f, best %.2f", ms(r.median), ms(r.spread)/2, ms(r.best))})
	}
	if jailed, ok := results[nameJail]; ok {
		for _, t := range []struct {
			name  string
			limit float64
		}{{nameGuest, 1.5}, {nameGuestMade, 1.5}, {nameGuestPool, 0.5}} {
			us := results[t.name]
			q := ratio(us.median, jailed.median)
			b.table.add(row{what: t.name + " : " + nameJail, value: fmt.Sprintf("%.2f : %.2f ms", ms(us.median), ms(jailed.median)),
				ratio: fmt.Sprintf("%5.2f", q), target: fmt.Sprintf("<= %.1f", t.limit), met: q <= t.limit})
		}
	}
	for _, t := range []struct {
		name  string
		limit time.Duration
	}{{"the probe, from its start to its end", 30 * time.Millisecond}, {"a guest's end, until it is proved that nothing but files can be left", 200 * time.Millisecond}} {
		all := g.took[t.name]
		slices.Sort(all)
		middle := all[len(all)/2]
		b.table.add(row{what: t.name, value: fmt.Sprintf("%6.2f ms", ms(middle)), target: fmt.Sprintf("<= %.0f ms", ms(t.limit)), met: middle <= t.limit})
	}
	if err := g.logins(ctx); err != nil {
		return err
	}
	return g.held(ctx)
}

// sweep makes the ids free again: a guest that was in keeps its own until that.
func (g *guestBench) sweep(ctx context.Context) error {
	begun := time.Now()
	swept, err := g.all.Sweep(ctx)
	if err == nil && len(swept.Remains)+len(swept.Live) > 0 {
		err = fmt.Errorf("of guests something is left: %v, %v", swept.Remains, swept.Live)
	}
	if swept.Files > 0 {
		g.table.add(row{what: fmt.Sprintf("search of %d files for those of %d guests", swept.Files, len(swept.Clean)), value: fmt.Sprintf("%.1f s", time.Since(begun).Seconds())})
	}
	return err
}

// guestBench is what the rows about guests share.
type guestBench struct {
	*bench
	state   string
	all     *guests.Guests
	decided *decided.Session
	took    map[string][]time.Duration
}

// speaks is a way of doing the job that ends for the clock when the program has
// said something.
func speaks(argv ...string) func(context.Context) (time.Duration, error) {
	return func(ctx context.Context) (time.Duration, error) {
		return heard(func(out *os.File) (func() error, error) {
			cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
			cmd.Stdout, cmd.Stderr = out, os.Stderr
			return cmd.Wait, cmd.Start()
		})
	}
}

// heard starts something that speaks, and times it.
func heard(start func(out *os.File) (wait func() error, err error)) (time.Duration, error) {
	var p [2]int
	if err := syscall.Pipe2(p[:], syscall.O_CLOEXEC); err != nil {
		return 0, err
	}
	r, w := os.NewFile(uintptr(p[0]), "pipe"), os.NewFile(uintptr(p[1]), "pipe")
	defer r.Close()
	begun := time.Now()
	wait, err := start(w)
	w.Close()
	if err != nil {
		return 0, err
	}
	_, err = io.ReadFull(r, make([]byte, 1))
	d := time.Since(begun)
	return d, errors.Join(err, wait())
}

// make has a guest in, as a program does that has many.
func (g *guestBench) make(ctx context.Context) (time.Duration, error) {
	return heard(func(out *os.File) (func() error, error) {
		done := make(chan error, 1)
		ours, err := dup(out)
		if err != nil {
			return nil, err
		}
		go func() {
			status, err := g.all.Run(ctx, g.decided, decided.Request{Command: []string{"/bin/echo", "in"}, Stdout: ours})
			ours.Close()
			if err == nil && status.Code != 0 {
				err = fmt.Errorf("it ended with %d", status.Code)
			}
			done <- err
		}()
		return func() error { return <-done }, nil
	})
}

// fromPool lets somebody into a session that was prepared.
func (g *guestBench) fromPool(ctx context.Context) (time.Duration, error) {
	p, err := g.all.Prepare(ctx, g.decided)
	if err != nil {
		return 0, err
	}
	g.note("the probe, from its start to its end", p.Probed())
	return heard(func(out *os.File) (func() error, error) {
		p.Admit()
		s, err := p.Enter(decided.Request{Command: []string{"/bin/echo", "in"}, Stdout: out})
		if err != nil {
			return nil, errors.Join(err, p.Close())
		}
		return func() error {
			_, err := s.Wait()
			ending := time.Now()
			err = errors.Join(err, p.Close())
			g.note("a guest's end, until it is proved that nothing but files can be left", time.Since(ending))
			return err
		}, nil
	})
}

func (g *guestBench) note(what string, d time.Duration) { g.took[what] = append(g.took[what], d) }

func dup(f *os.File) (*os.File, error) {
	fd, err := syscall.Dup(int(f.Fd()))
	if err != nil {
		return nil, err
	}
	syscall.CloseOnExec(fd)
	return os.NewFile(uintptr(fd), f.Name()), nil
}

// jail is what a guest has, as far as bubblewrap can make it: every namespace, the
// same directories covered, no capability. It has no layer over its root, no
// accounts of its own and no filter, and nothing is tried.
func (b *bench) jail(ctx context.Context, p *plan.Plan) ([]string, error) {
	argv, err := b.fetchBubblewrap(ctx)
	if err != nil {
		return nil, err
	}
	argv = append(argv, "--unshare-all", "--new-session", "--die-with-parent", "--clearenv", "--hostname", "guest",
		"--uid", fmt.Sprint(guests.FirstID), "--gid", fmt.Sprint(guests.FirstID), "--cap-drop", "ALL",
		"--ro-bind", "/", "/", "--proc", "/proc", "--dev", "/dev")
	var closed []string
	covered := map[string]bool{}
	for _, op := range p.Ops {
		switch o := op.(type) {
		case plan.Mount:
			if st, err := os.Stat(o.Target); err == nil && st.IsDir() && o.Type == "tmpfs" && !strings.HasPrefix(o.Target, "/dev/") {
				covered[o.Target] = true
				argv = append(argv, "--tmpfs", o.Target)
			}
		case plan.ReadOnly:
			if covered[o.Target] {
				closed = append(closed, "--remount-ro", o.Target)
			}
		case plan.Environment:
			argv = append(argv, "--setenv", o.Name, o.Value)
		}
	}
	argv = append(argv, "--dir", fmt.Sprintf("/run/user/%d", guests.FirstID), "--dir", plan.GuestHome, "--chdir", plan.GuestHome)
	return append(append(argv, closed...), "/bin/echo", "in"), nil
}

// held measures what guests cost while they are there and do nothing.
func (g *guestBench) held(ctx context.Context) error {
	var memory []int64
	var lines int64
	// As for sessions: other programs come and go, and the middle one counts.
	for range 3 {
		d, err := g.holdOnce(ctx)
		if err != nil {
			return err
		}
		memory, lines = append(memory, d.available+d.slab), max(lines, d.lines)
	}
	slices.Sort(memory)
	g.table.section(fmt.Sprintf("%d guests at once", heldGuests))
	g.table.add(row{what: "host's mountinfo", value: fmt.Sprintf("%+d lines", lines), target: "+0", met: lines == 0})
	r := row{what: "memory of all: loss of MemAvailable plus growth of Slab", value: fmt.Sprintf("%d MiB", memory[1]>>20), target: "<= 60 MiB", met: memory[1] <= 60<<20}
	if memory[1] <= 0 {
		r.value, r.met = "not measured", false
		g.table.note("other programs gave memory back while the guests were there: run again.")
	}
	g.table.add(r)
	return nil
}

func (g *guestBench) holdOnce(ctx context.Context) (u usage, err error) {
	before, err := settled()
	if err != nil {
		return u, err
	}
	var all []*guests.Prepared
	defer func() {
		for _, p := range all {
			err = errors.Join(err, p.Close())
		}
	}()
	for range heldGuests {
		p, err := g.all.Prepare(ctx, g.decided)
		if err != nil {
			return u, err
		}
		all = append(all, p)
	}
	after, err := settled()
	if err != nil {
		return u, err
	}
	return usage{lines: after.lines - before.lines, available: before.available - after.available, slab: after.slab - before.slab}, nil
}
