package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"time"

	"golang.org/x/sys/unix"

	"ninefold/cmd/internal/exit"
	"ninefold/cmd/internal/host"
	"ninefold/cmd/internal/session"
	"ninefold/sessiond/manager"
)

// endsAfter is how long a user's guest goes on when it is told to end.
const endsAfter = 5 * time.Second

// runSession runs a session, here if that is root's to do. Others ask sessiond for
// those that are guests'.
func runSession(ctx context.Context, io session.Stdio, r session.Request) int {
	switch {
	case os.Geteuid() == 0 && r.For != 0:
		ctx, stop := toldToEnd(ctx)
		defer stop()
		return session.Run(ctx, io, r)
	case os.Geteuid() == 0 || r.Config != "" || r.State != "" || r.Image != "" || !asGuest(r):
		return session.Run(ctx, io, r)
	}
	var status int
	err := fmt.Errorf("profile %s: %w", r.Profile, manager.ErrGuest)
	if r.User == "" && !r.Keep {
		status, err = host.Run(host.Stdio(io), host.Options{Guest: r.Profile, Command: r.Command})
	}
	if err != nil {
		code, hint := exit.Of(err, rules)
		exit.Tell(io.Err, "sessionctl", err, hint)
		return int(code)
	}
	return status
}

// asGuest reports whether the session is to be a guest's, by the command line or by
// its profile.
func asGuest(r session.Request) bool {
	if r.Guest {
		return true
	}
	p, err := manager.Open(session.Options("", "")).Profiles().Find(r.Profile)
	return err == nil && p.Guest()
}

// toldToEnd returns a context that ends some time after this process was told to
// end: until then it is the command's to do so.
func toldToEnd(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancel(ctx)
	told := make(chan os.Signal, 1)
	signal.Notify(told, unix.SIGTERM)
	go func() {
		select {
		case <-told:
		case <-ctx.Done():
			return
		}
		select {
		case <-time.After(endsAfter):
			cancel()
		case <-ctx.Done():
		}
	}()
	return ctx, func() { signal.Stop(told); cancel() }
}
