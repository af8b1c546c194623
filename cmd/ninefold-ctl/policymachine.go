package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"ninefold/sessiond/identity"
	"ninefold/sessiond/origin"
)

// policyMachine is this machine, as a check of the host policy asks for it.
type policyMachine struct {
	ctx      context.Context
	host     identity.Host
	profiles []string
}

func (a *app) policyMachine(ctx context.Context) policyMachine {
	return policyMachine{ctx: ctx, profiles: a.profileNames()}
}

// Program finds a program as a session's request for it is resolved: links
// among its directories are followed, one in the last element is kept.
func (m policyMachine) Program(name string) (string, error) {
	dir, err := filepath.EvalSymlinks(filepath.Dir(name))
	if err != nil {
		return "", fmt.Errorf("%s is not on this machine", name)
	}
	called := filepath.Join(dir, filepath.Base(name))
	st, err := os.Stat(called)
	switch {
	case err != nil:
		return "", fmt.Errorf("%s is not on this machine", name)
	case !st.Mode().IsRegular() || st.Mode()&0o111 == 0:
		return "", fmt.Errorf("%s is no program", name)
	}
	who, err := origin.Of(name)
	if err == nil && who != 0 {
		err = fmt.Errorf("%s is not root's alone: uid %d can change it, or a directory on the way to it", name, who)
	}
	return called, err
}

// User says yes where the name service does not answer: that is no reason to
// doubt the policy.
func (m policyMachine) User(name string) bool {
	_, err := m.host.ByName(m.ctx, name)
	return !errors.Is(err, identity.ErrNoUser)
}

// Group does so too.
func (m policyMachine) Group(name string) bool {
	ok, err := m.host.HasGroup(m.ctx, name)
	return ok || err != nil
}

func (m policyMachine) Profiles() []string { return m.profiles }
