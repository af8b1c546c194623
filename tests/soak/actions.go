package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// patience bounds every wait for a program that has been told to end.
const patience = 30 * time.Second

// action is one thing that people and machines do to Ninefold.
type action struct {
	name   string
	weight int
	do     func(context.Context, *world, *rand.Rand) error
}

var actions = []action{
	{"session that ends by itself", 40, func(ctx context.Context, w *world, r *rand.Rand) error {
		code := r.IntN(100)
		return w.expect(ctx, code, "run", "host", "--", "/bin/sh", "-c", fmt.Sprintf("echo x >/etc/soak; exit %d", code))
	}},
	{"session that leaves processes behind", 10, func(ctx context.Context, w *world, r *rand.Rand) error {
		return w.expect(ctx, 0, "run", "host", "--", "/bin/sh", "-c", "(trap '' TERM HUP; sleep 1000) & (setsid sleep 1000) & exit 0")
	}},
	{"sessionctl killed (SIGKILL)", 30, func(ctx context.Context, w *world, r *rand.Rand) error {
		_, err := w.interrupted(ctx, syscall.SIGKILL, delay(r, 60), "run", "host", "--", "/bin/sh", "-c", "sleep 1000 & sleep 1000")
		return err
	}},
	{"sessionctl ended (SIGTERM)", 10, func(ctx context.Context, w *world, r *rand.Rand) error {
		_, err := w.interrupted(ctx, syscall.SIGTERM, delay(r, 60), "run", "host", "--", "/bin/sleep", "1000")
		return err
	}},
	{"image build", 6, func(ctx context.Context, w *world, r *rand.Rand) error {
		return w.expect(ctx, 0, "image", "build", "soak")
	}},
	{"image build killed (SIGKILL)", 4, func(ctx context.Context, w *world, r *rand.Rand) error {
		_, err := w.interrupted(ctx, syscall.SIGKILL, delay(r, 300), "image", "build", "soak")
		return err
	}},
	{"image removed and collected", 3, func(ctx context.Context, w *world, r *rand.Rand) error {
		// There may be no image at this moment.
		w.command(ctx, "image", "remove", "soak").Run()
		return w.expect(ctx, 0, "image", "gc")
	}},
}

func delay(r *rand.Rand, ms int) time.Duration {
	return time.Duration(r.IntN(ms*1000)) * time.Microsecond
}

func choose(r *rand.Rand) action {
	sum := 0
	for _, a := range actions {
		sum += a.weight
	}
	n := r.IntN(sum)
	for _, a := range actions {
		if n -= a.weight; n < 0 {
			return a
		}
	}
	return actions[0]
}

func (w *world) command(ctx context.Context, args ...string) *exec.Cmd {
	args = append([]string{"--config", w.config, "--state", w.state}, args...)
	cmd := exec.CommandContext(ctx, w.sessionctl, args...)
	cmd.WaitDelay = patience
	return cmd
}

// expect runs sessionctl and wants this exit status.
func (w *world) expect(ctx context.Context, code int, args ...string) error {
	ctx, cancel := context.WithTimeout(ctx, 2*patience)
	defer cancel()
	var out bytes.Buffer
	cmd := w.command(ctx, args...)
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	if got := cmd.ProcessState.ExitCode(); got != code {
		return fmt.Errorf("sessionctl %s: exit status %d instead of %d (%w): %s", strings.Join(args, " "), got, code, errors.Join(err, ctx.Err()), out.Bytes())
	}
	return nil
}

// interrupted starts sessionctl, sends it sig after d, and waits for its end.
func (w *world) interrupted(ctx context.Context, sig syscall.Signal, d time.Duration, args ...string) (int, error) {
	cmd := w.command(ctx, args...)
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	time.Sleep(d)
	cmd.Process.Signal(sig)
	late := time.AfterFunc(patience, func() { cmd.Process.Kill() })
	cmd.Wait()
	if !late.Stop() {
		return 0, fmt.Errorf("sessionctl %s: still there %s after %s", strings.Join(args, " "), patience, sig)
	}
	return cmd.ProcessState.ExitCode(), nil
}
