// Package manager makes sessions: it turns a profile and a user into layers, a
// plan and a running command, and takes everything back afterwards.
package manager

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"ninefold/internal/progress"
	"ninefold/roots/store"
	"ninefold/sessiond/config"
	"ninefold/sessiond/decided"
	"ninefold/sessiond/origin"
	"ninefold/sessiond/profile"
)

// The default places.
const (
	DefaultState = "/var/lib/ninefold"
	etcConfig    = "/etc/ninefold"
	usrConfig    = decided.Installed
)

// Options say where a Manager works; the zero value is the machine's own.
type Options struct {
	// Config is the one directory of configuration; "" is /etc/ninefold over
	// /usr/lib/ninefold.
	Config string
	// State is the directory of the store and of kept layers.
	State string
	// HostMounts opens the host's mount namespace, for a caller in one that receives its
	// mounts; nil for one that is in it. The caller of HostMounts closes the file.
	HostMounts func() (*os.File, error)
}

// Manager makes sessions of the profiles in its configuration over the images
// in its state directory. It holds no state of its own and costs nothing to
// open.
type Manager struct {
	config []string
	state  string
	host   machine
	sink   progress.Sink
	fixed  *config.Config // in place of what is on disk
	asked  Options
}

// Open returns a Manager. Nothing is read before it is needed.
func Open(o Options) *Manager {
	m := &Manager{config: []string{etcConfig, usrConfig}, state: o.State, host: machine{"/"}, sink: progress.None, asked: o}
	if o.Config != "" {
		m.config = []string{o.Config}
	}
	if m.state == "" {
		m.state = DefaultState
	}
	return m
}

// WithProgress returns the same manager with long work reporting to sink.
func (m *Manager) WithProgress(sink progress.Sink) *Manager {
	n := *m
	n.sink = sink
	return &n
}

// StoreDir is the directory of the store.
func (m *Manager) StoreDir() string { return filepath.Join(m.state, "store") }

// ErrNotRoots says that root is asked to rely on what another user can change.
var ErrNotRoots = errors.New("it is not root's alone")

// rely checks that what root is to rely on is nobody else's to change: the
// store, whose images the kernel mounts, or the machine's configuration. Users
// may rely on what they like. What does not exist yet is judged by where it
// will be.
func rely(name string) error {
	if os.Geteuid() != 0 {
		return nil
	}
	who, err := origin.Of(name)
	for errors.Is(err, fs.ErrNotExist) && name != "/" && name != "." {
		name = filepath.Dir(name)
		who, err = origin.Of(name)
	}
	if err == nil && who != 0 {
		err = fmt.Errorf("%w: uid %d can change it, or a directory above it; keep it where only root can write", ErrNotRoots, who)
	}
	if err != nil {
		return fmt.Errorf("rely on %s: %w", name, err)
	}
	return nil
}

// Rely checks that the state directory is nobody else's to change.
func (m *Manager) Rely() error { return rely(m.state) }

// Store opens the store, and makes it when there is none.
func (m *Manager) Store() (*store.Store, error) {
	if err := rely(m.StoreDir()); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(m.state, 0o700); err != nil {
		return nil, fmt.Errorf("make the state directory: %w", err)
	}
	return store.Open(m.StoreDir())
}

// Config returns the directories of configuration, the first counts most.
func (m *Manager) Config() []string { return m.config }

// State returns the state directory.
func (m *Manager) State() string { return m.state }

// Profiles returns the profiles of the configuration and the built-in ones.
func (m *Manager) Profiles() *profile.Set {
	var dirs []string
	for _, d := range m.config {
		dirs = append(dirs, filepath.Join(d, "profiles"))
	}
	return profile.Load(dirs...)
}

// InitFile returns the file name of the sessions' first process, "" when it is
// not installed.
func (m *Manager) InitFile() string { return decided.Program(decided.First) }

// ErrForeign says that somebody else could change what root would run.
var ErrForeign = errors.New("it is not root's")

// InitDir returns the directory of the sessions' first process: ErrIncomplete
// when it is not there, and ErrForeign when it belongs to another user than
// root, as in a checkout.
func (m *Manager) InitDir() (string, error) {
	name := m.InitFile()
	if name == "" {
		return "", fmt.Errorf("%w: ninefold-init is not beside sessionctl", ErrIncomplete)
	}
	var st unix.Stat_t
	if err := unix.Stat(name, &st); err != nil {
		return "", &os.PathError{Op: "stat", Path: name, Err: err}
	}
	if st.Uid != 0 && int(st.Uid) != os.Geteuid() {
		return "", fmt.Errorf("%s belongs to uid %d, and root would run it in every session: %w", name, st.Uid, ErrForeign)
	}
	return filepath.Dir(name), nil
}
