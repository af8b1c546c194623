package manager

import (
	"context"
	"fmt"
	"os"
	"time"

	"ninefold/namespaces"
	"ninefold/sessiond/decided"
)

// Run makes a session, runs a command in it and takes it down. An error means
// that the session could not be made, or not be taken down. A session on the
// host's root whose packages changed meanwhile is told on r.Stderr.
func (m *Manager) Run(ctx context.Context, r Request) (status namespaces.Status, err error) {
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
	if r.For != 0 && p.session.Guest == 0 {
		return status, fmt.Errorf("profile %s: %w", r.Profile, ErrGuest)
	}
	if p.session.Guest != 0 {
		if err := rely(m.state); err != nil {
			return status, err
		}
	}
	if r.Image == "" {
		m.keepDecision(ctx, r, p)
	}
	start := decided.Request{Dir: r.Dir, Command: r.Command, Stdin: r.Stdin, Stdout: r.Stdout, Stderr: r.Stderr}
	if p.session.Guest != 0 {
		all, err := m.guestsFor(r.For)
		if err != nil {
			return status, err
		}
		return all.Run(ctx, &p.session, start)
	}
	return p.session.Run(ctx, start)
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
