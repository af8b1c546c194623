package manager

import (
	"context"
	"os"

	"ninefold/namespaces/plan"
	"ninefold/sessiond/decided"
)

// DecideContext is Context, and keeps what was decided under a name for the next one
// who enters, where it depends on nothing but files that can be looked at again: on
// the host, and for root, since the groups of a user can be a directory's.
func (m *Manager) DecideContext(ctx context.Context, c ContextSpec, name string) (*plan.Plan, []*os.File, error) {
	p, hold, err := m.Context(ctx, c)
	if err != nil || c.Image != "" || c.Pin != "" || c.Reader != nil || m.host.root != "/" || os.Geteuid() != 0 || p.Class != plan.Trusted {
		return p, hold, err
	}
	facts := m.contextInputs(c)
	again, _, err := m.Context(ctx, c)
	if err != nil || !m.contextInputs(c).Same(facts) || plan.Print(again) != plan.Print(p) {
		return p, hold, nil // it is just changing
	}
	s := &decided.Session{Profile: name, Plan: p}
	_ = decided.Keep(m.recordDir(), m.ContextQuestion(name), s, facts, writeRecord)
	return p, hold, nil
}

// ContextQuestion is what asks for a decision that was kept under a name.
func (m *Manager) ContextQuestion(name string) decided.Question {
	return decided.Question{Config: m.asked.Config, State: m.asked.State, Profile: name, First: m.InitFile()}.Ask()
}

// contextInputs are the files from which the root of a context is decided.
func (m *Manager) contextInputs(c ContextSpec) *decided.Facts {
	facts := &decided.Facts{}
	if self, err := os.Executable(); err == nil {
		facts.Content(self) // another version may decide otherwise
	}
	facts.Content(m.InitFile(), "/etc/locale.conf", "/etc/default/locale")
	facts.Mounts()
	facts.Presence(append([]string{"/bin/bash", "/etc/resolv.conf", m.state}, c.Facts...)...)
	return facts
}
