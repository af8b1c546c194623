package manager

import (
	"context"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"ninefold/namespaces"
)

// forwarded are the signals that a session's command is to get instead of us.
var forwarded = []os.Signal{unix.SIGINT, unix.SIGTERM, unix.SIGHUP, unix.SIGQUIT, unix.SIGUSR1, unix.SIGUSR2}

// Run makes a session, runs a command in it and takes it down. An error means
// that the session could not be made, or not be taken down. A session on the
// host's root whose packages changed meanwhile is told on r.Stderr.
func (m *Manager) Run(ctx context.Context, r Request) (namespaces.Status, error) {
	if os.Geteuid() != 0 {
		return namespaces.Status{}, fmt.Errorf("make a session of profile %s: %w", r.Profile, ErrNotRoot)
	}
	p, err := m.prepare(ctx, r, true)
	if err != nil {
		return namespaces.Status{}, err
	}
	defer p.release()
	if p.note != "" && r.Stderr != nil {
		fmt.Fprintf(r.Stderr, "sessionctl: %s\n", p.note)
	}
	var before hostState
	if p.spec.HostBase {
		before = readHostState()
	}
	status, err := runCommand(ctx, p, namespaces.Command{
		Argv: p.argv, Stdin: r.Stdin, Stdout: r.Stdout, Stderr: r.Stderr,
		TTY: isTerminal(r.Stdin) && isTerminal(r.Stdout), Here: r.Here,
	})
	if err != nil {
		return status, fmt.Errorf("make a session of profile %s: %w", p.profile.Name, err)
	}
	if p.spec.HostBase && r.Stderr != nil {
		if why := before.since(); why != "" {
			fmt.Fprintf(r.Stderr, "sessionctl: this session is stale: %s\n", why)
		}
	}
	return status, nil
}

// runCommand runs c and hands it the signals that come to us.
func runCommand(ctx context.Context, p *prepared, c namespaces.Command) (namespaces.Status, error) {
	stop := func() {}
	defer func() { stop() }()
	c.Started = func(s *namespaces.Session) {
		// A signal that comes before this ends us, and with us what was begun:
		// listening earlier would delay every start for the rare case.
		stop = forward(s)
	}
	return namespaces.Run(ctx, p.plan, c)
}

func isTerminal(f *os.File) bool {
	if f == nil {
		return false
	}
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}

// Try makes a session on the host and takes it down, to prove that it can be
// done; it returns how long that took.
func (m *Manager) Try(ctx context.Context) (string, error) {
	begun := time.Now()
	status, err := m.Run(ctx, Request{Profile: "host", Command: []string{"true"}})
	if err != nil {
		return "", err
	}
	if status.Code != 0 {
		return "", fmt.Errorf("the command true returned %d", status.Code)
	}
	return fmt.Sprintf("made and taken down in %.1f ms", float64(time.Since(begun).Microseconds())/1000), nil
}
