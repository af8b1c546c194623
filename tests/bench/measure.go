package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// contender is one way of doing the job.
type contender struct {
	name string
	// once does the job once and says how long it took.
	once func(ctx context.Context) (time.Duration, error)
}

// result is what a contender's rounds came to.
type result struct {
	name   string
	median time.Duration
	spread time.Duration // between the quartiles
	best   time.Duration // the fastest tenth is below it
}

// interleave runs every contender once a round, starting with a different one
// each time, so that whatever disturbs the machine disturbs all alike. The
// first rounds warm up and do not count. A contender that fails is dropped
// with its error.
func interleave(ctx context.Context, rounds int, cs []contender) (map[string]result, map[string]error) {
	return interleaved(ctx, 3, rounds, cs)
}

// interleaved is interleave with so many rounds to warm up.
func interleaved(ctx context.Context, warmUp, rounds int, cs []contender) (map[string]result, map[string]error) {
	times := map[string][]time.Duration{}
	failed := map[string]error{}
	for r := range rounds + warmUp {
		for i := range cs {
			c := cs[(i+r)%len(cs)]
			if failed[c.name] != nil || ctx.Err() != nil {
				continue
			}
			d, err := c.once(ctx)
			if err != nil {
				failed[c.name] = err
				continue
			}
			if r >= warmUp {
				times[c.name] = append(times[c.name], d)
			}
		}
	}
	out := map[string]result{}
	for name, ds := range times {
		if failed[name] == nil {
			slices.Sort(ds)
			n := len(ds)
			out[name] = result{name, ds[n/2], ds[n*3/4] - ds[n/4], ds[n/10]}
		}
	}
	return out, failed
}

// process measures a program from its start to its end.
func process(name string, argv ...string) contender {
	return contender{name, func(ctx context.Context) (time.Duration, error) { return timeProcess(ctx, nil, argv...) }}
}

func timeProcess(ctx context.Context, env []string, argv ...string) (time.Duration, error) {
	var out strings.Builder
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Env = append([]string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LC_ALL=C"}, env...)
	// A pipe needs a goroutine: the cheapest that still shows an error is none
	// at first, and the output of a second try.
	start := time.Now()
	err := cmd.Run()
	d := time.Since(start)
	if err == nil || ctx.Err() != nil {
		return d, errors.Join(err, ctx.Err())
	}
	again := exec.CommandContext(ctx, argv[0], argv[1:]...)
	again.Env, again.Stdout, again.Stderr = cmd.Env, &out, &out
	again.Run()
	return d, fmt.Errorf("%s: %w: %s", argv[0], err, strings.TrimSpace(out.String()))
}

// room is a thread, with a mount namespace of its own in which programs can be
// started: the bench's view with something changed.
type room struct{ work chan func() }

// newRoom makes a room and runs prepare in it. Without prepare it is a thread
// with nothing of its own.
func newRoom(prepare func() error) (*room, error) {
	r := &room{make(chan func())}
	ready := make(chan error)
	var live func()
	live = func() {
		// Never unlocked: the thread ends with the goroutine, so that no other
		// goroutine ever sees its mounts. The main thread stays as it is,
		// because /proc/self shows what it sees.
		runtime.LockOSThread()
		if unix.Gettid() == unix.Getpid() {
			go live()
			time.Sleep(time.Millisecond)
			runtime.UnlockOSThread()
			return
		}
		var err error
		if prepare != nil {
			if err = unix.Unshare(unix.CLONE_FS | unix.CLONE_NEWNS); err == nil {
				err = unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "")
			}
			if err == nil {
				err = prepare()
			}
		}
		ready <- err
		if err != nil {
			return
		}
		for f := range r.work {
			f()
		}
	}
	go live()
	return r, <-ready
}

// process is like the function of that name; the program starts in the room.
func (r *room) process(name string, env []string, argv ...string) contender {
	return contender{name, func(ctx context.Context) (d time.Duration, err error) {
		r.do(func() { d, err = timeProcess(ctx, env, argv...) })
		return d, err
	}}
}

// do runs f in the room and waits for it.
func (r *room) do(f func()) {
	done := make(chan struct{})
	r.work <- func() { f(); close(done) }
	<-done
}
