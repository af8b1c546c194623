package manager

import (
	"fmt"
	"path/filepath"
	"strings"

	"ninefold/internal/regular"
	"ninefold/roots/image"
	"ninefold/roots/sign"
)

// KeysDir is where the private keys of this machine are.
func (m *Manager) KeysDir() string { return filepath.Join(m.state, "keys") }

// KeyFile is where the private key called name is kept; a name with a slash is
// a path.
func (m *Manager) KeyFile(name string) (string, error) {
	if strings.Contains(name, "/") {
		return name, nil
	}
	if !image.ValidName(name) {
		return "", fmt.Errorf("%q cannot be the name of a key: use a-z, 0-9, dot, dash and underscore, or a path with a slash: %w", name, sign.ErrKey)
	}
	return filepath.Join(m.KeysDir(), name), nil
}

// PrivateKey reads a private key by its name or path.
func (m *Manager) PrivateKey(name string) (*sign.Private, error) {
	file, err := m.KeyFile(name)
	if err != nil {
		return nil, err
	}
	b, err := regular.Read(file, sign.MaxEnvelope)
	if err != nil {
		return nil, fmt.Errorf("read key %s: %w", name, err)
	}
	k, err := sign.ParsePrivate(b)
	if err != nil {
		return nil, fmt.Errorf("read key %s: %w", name, err)
	}
	return k, nil
}
