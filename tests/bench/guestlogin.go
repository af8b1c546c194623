package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"ninefold/namespaces"
	"ninefold/sessiond/decided"
	"ninefold/sessiond/guests"
)

const (
	nameLoginMade = "a guest's login, its session made"
	nameLoginPool = "a guest's login, its session prepared"
)

// logins measures what daemon and keeper do for a guest who logs in, from the account
// to the first word of its command, without the login program and PAM, with a pool
// and without one.
func (g *guestBench) logins(ctx context.Context) (err error) {
	socket := filepath.Join(g.dir, "pool")
	pooled := g.all.Asking(socket)
	pool := guests.Pool{Guests: g.all, Size: 1, Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
		Decide: func(context.Context) (*decided.Session, func(), error) { return g.decided, func() {}, nil }}
	serving, stop := context.WithCancel(ctx)
	over := make(chan error, 1)
	go func() { over <- pool.Serve(serving, socket) }()
	defer func() { stop(); err = errors.Join(err, <-over) }()
	results, failed := interleave(ctx, g.rounds, []contender{
		{nameLoginMade, func(ctx context.Context) (time.Duration, error) { return g.login(ctx, g.all) }},
		{nameLoginPool, func(ctx context.Context) (time.Duration, error) {
			if err := g.waiting(ctx); err != nil {
				return 0, err
			}
			return g.login(ctx, pooled)
		}},
	})
	if err := errors.Join(ctx.Err(), failed[nameLoginMade], failed[nameLoginPool]); err != nil {
		return err
	}
	made, prepared := results[nameLoginMade], results[nameLoginPool]
	for _, name := range []string{nameLoginMade, nameLoginPool} {
		r := results[name]
		g.table.add(row{what: name, value: fmt.Sprintf("%6.2f ms ±%.2f, best %.2f", ms(r.median), ms(r.spread)/2, ms(r.best))})
	}
	q := ratio(prepared.median, made.median)
	g.table.add(row{what: nameLoginPool + " : " + nameLoginMade, value: fmt.Sprintf("%.2f : %.2f ms", ms(prepared.median), ms(made.median)),
		ratio: fmt.Sprintf("%5.2f", q), target: "<= 1.0", met: q <= 1})
	return nil
}

// waiting waits until a session is prepared.
func (g *guestBench) waiting(ctx context.Context) error {
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline) && ctx.Err() == nil; time.Sleep(5 * time.Millisecond) {
		all, err := g.all.List()
		if err != nil {
			return err
		}
		for _, r := range all {
			if r.State == guests.Waiting {
				time.Sleep(20 * time.Millisecond) // the pool has it a moment after its record says so
				return nil
			}
		}
	}
	return errors.Join(ctx.Err(), errors.New("no session is prepared"))
}

// login has a guest log in to one of all, and say something.
func (g *guestBench) login(ctx context.Context, all *guests.Guests) (time.Duration, error) {
	return heard(func(out *os.File) (func() error, error) {
		begun, err := all.BeginLogin(ctx, g.decided.Profile, "login", "/dev/tty1", "/usr/sbin/nologin")
		if err != nil {
			return nil, err
		}
		sent, err := begun.ForKeeper()
		if err != nil {
			return nil, errors.Join(err, begun.End())
		}
		defer sent.Close()
		if err := begun.HandOver(); err != nil {
			return nil, err
		}
		kept, err := all.Adopt(begun.UID, sent)
		if err != nil {
			return nil, err
		}
		session, err := kept.Start(ctx, g.decided)
		if err != nil {
			return nil, errors.Join(err, kept.End())
		}
		command, err := session.Enter(namespaces.Command{Argv: []string{"/bin/echo", "in"}, Stdout: out})
		if err != nil {
			return nil, errors.Join(err, session.Close(), kept.End())
		}
		return func() error {
			_, err := command.Wait()
			return errors.Join(err, session.Close(), kept.End())
		}, nil
	})
}
