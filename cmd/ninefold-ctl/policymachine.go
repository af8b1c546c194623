package main

import (
	"context"
	"errors"

	"ninefold/sessiond/broker/program"
	"ninefold/sessiond/identity"
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

// Program finds a program as the broker does.
func (m policyMachine) Program(name string) (string, error) {
	p, err := program.Find(name)
	if err != nil {
		return "", err
	}
	return p.Path, nil
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
