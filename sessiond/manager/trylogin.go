package manager

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"ninefold/namespaces"
	"ninefold/sessiond/identity"
)

// LoginProfiles names the profiles that the configuration gives to logins.
func (m *Manager) LoginProfiles() ([]string, error) {
	c, err := m.configuration()
	if err != nil {
		return nil, err
	}
	return c.Named(), nil
}

// LoginAliases reports whether sshd is to know people as PERSON+PROFILE.
func (m *Manager) LoginAliases() (bool, error) {
	c, err := m.configuration()
	return c.Login.Aliases, err
}

// TryLogin makes the view that a login of one of the machine's people would get
// in a profile, starts their shell in it as they, and takes it down again.
func (m *Manager) TryLogin(ctx context.Context, name string) (err error) {
	p, err := m.Profiles().Find(name)
	if err != nil {
		return err
	}
	u, err := m.somebody(ctx, name)
	if err != nil {
		return err
	}
	l, err := m.Login(ctx, p, u, false)
	if err != nil {
		return err
	}
	defer l.Release()
	s, err := namespaces.Start(ctx, l.Plan, namespaces.Command{Hold: l.Files()})
	if err != nil {
		return fmt.Errorf("make a view: %w", err)
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	return l.TryShell(s)
}

// proofTime is how long the login shell may take to end at once. Who needs longer
// has not failed: the machine is slow, or reads a file system that is far away. It is
// what the time of an answer at the door leaves: a shell that does not run would lock
// its user out, also on a machine that is busy.
const proofTime = 600 * time.Millisecond

// proofTasks is how many tasks it may be: some shells start threads.
const proofTasks = 32

// TryShell starts the login shell in s, the view made by l, as its user, and lets
// it end at once. It is an error when the shell cannot be executed, or does not run:
// a library is missing, a block of the disk has gone bad. A shell that does not end in
// time is ended, and has not failed. What the user has a shell do at its start is not
// done: the home is elsewhere, and what the shell of a user's own root does, it does in
// few tasks, which are not the daemon's.
func (l *Login) TryShell(s *namespaces.Session) error {
	u := l.held.user
	shell := cmp.Or(u.Shell, "/bin/sh")
	c, err := s.Enter(namespaces.Command{Argv: []string{shell, "-c", "exit"}, Tasks: proofTasks,
		Environment: []string{"HOME=/", "ZDOTDIR=/", "XDG_CONFIG_HOME=/", "BASH_ENV=", "ENV="}})
	if err != nil {
		return fmt.Errorf("start the login shell %s of %s in it: %w", shell, u.Name, err)
	}
	var status namespaces.Status
	ended := make(chan error, 1)
	go func() {
		var err error
		status, err = c.Wait()
		ended <- err
	}()
	select {
	case err = <-ended:
	case <-time.After(proofTime):
		// One that waits for a dead file system may not even be killed.
		go func() { _ = c.Close() }()
		return nil
	}
	switch {
	case err != nil:
		return err
	case status.Signal != 0:
		return fmt.Errorf("the login shell %s of %s ends with %s in it", shell, u.Name, status.Signal)
	case status.Code == notExecutable || status.Code == notFound:
		return fmt.Errorf("the login shell %s of %s does not run in it (exit status %d)", shell, u.Name, status.Code)
	}
	return nil
}

// Statuses of a command that could not be executed, and of a dynamic linker that
// found something missing or broken.
const (
	notExecutable = 126
	notFound      = 127
)

// somebody is a person who would get the profile: one whom the configuration
// names with it, or the first of the machine.
func (m *Manager) somebody(ctx context.Context, name string) (identity.User, error) {
	c, err := m.configuration()
	if err != nil {
		return identity.User{}, err
	}
	host := identity.Host{}
	for user, p := range c.Login.Users {
		if p != name {
			continue
		}
		if u, err := host.ByName(ctx, user); err == nil {
			return u, nil
		}
	}
	accounts, err := host.Accounts()
	if err != nil {
		return identity.User{}, err
	}
	people := identity.ReadLimits(identity.LimitsFile)
	for line := range strings.Lines(accounts.Passwd) {
		if f := strings.Split(line, ":"); len(f) == 7 {
			if u, err := host.ByName(ctx, f[0]); err == nil && people.Enters(u.UID, c.Login.Ranges()) {
				return u, nil
			}
		}
	}
	return identity.User{}, fmt.Errorf("%w: the machine has no account of a person to try it with", identity.ErrNoUser)
}
