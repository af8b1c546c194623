package manager

import "ninefold/sessiond/config"

// ErrConfig says that ninefold.toml is wrong.
var ErrConfig = config.ErrInvalid

// WithConfig returns the same manager with c in place of what ninefold.toml
// says.
func (m *Manager) WithConfig(c config.Config) *Manager {
	n := *m
	n.fixed = &c
	return &n
}

// configuration returns what ninefold.toml says.
func (m *Manager) configuration() (config.Config, error) {
	if m.fixed != nil {
		return *m.fixed, nil
	}
	return config.Load(m.config)
}
