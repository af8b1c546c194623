package config

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/fsnotify/fsnotify"

	"ninefold/sessiond/policy"
	"ninefold/sessiond/profile"
)

// State is a configuration in force: what ninefold.toml said when it was last
// right, and likewise each profile and the host policy. It is not changed
// after it is made.
type State struct {
	Config   Config
	Profiles map[string]*profile.Profile
	// Broken says for each profile that cannot be used as it is on disk why;
	// one that was right before is in Profiles all the same.
	Broken map[string]error
	// Err is what is wrong with ninefold.toml on disk; Config is then the last
	// one that was right.
	Err error
	// Policy is the host policy; nil, which denies everything, until one was
	// right. PolicyErr is what is wrong with the one on disk.
	Policy    *policy.Set
	PolicyErr error
}

// Find returns a profile in force.
func (s *State) Find(name string) (*profile.Profile, error) {
	if p := s.Profiles[name]; p != nil {
		return p, nil
	}
	if err := s.Broken[name]; err != nil {
		return nil, err
	}
	return nil, fmt.Errorf("%w: %s", profile.ErrNotFound, name)
}

// Problem is everything wrong with what is on disk, or nil.
func (s *State) Problem() error {
	errs := []error{s.Err}
	for _, name := range slices.Sorted(maps.Keys(s.Broken)) {
		errs = append(errs, s.Broken[name])
	}
	errs = append(errs, s.PolicyErr)
	return errors.Join(errs...)
}

// Live follows the configuration in some directories. A change that is right is
// in force at the next login; one that is not is told with file and line, and
// what was right before stays. No live view is touched.
type Live struct {
	dirs    []string
	log     *slog.Logger
	changed func()

	reading sync.Mutex // one Reload at a time, so that none puts older things into force
	mu      sync.Mutex
	state   *State
	pending chan struct{} // closed when a change that was seen is in force; nil without one
}

// Follow reads the configuration in dirs, the first counts most. changed is
// called after each change that came into force.
func Follow(dirs []string, log *slog.Logger, changed func()) *Live {
	l := &Live{dirs: dirs, log: log, changed: changed, state: &State{Config: Config{Trust: Trust{CA: "host"}}}}
	l.Reload()
	return l
}

// State returns the configuration in force.
func (l *Live) State() *State {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.state
}

// Settled waits until a change that was seen on disk is in force, settleMost at
// most: who logs in right after it is to have it.
func (l *Live) Settled(ctx context.Context) {
	l.mu.Lock()
	pending := l.pending
	l.mu.Unlock()
	if pending == nil {
		return
	}
	select {
	case <-pending:
	case <-ctx.Done():
	case <-time.After(settleMost):
	}
}

// seen says that something changed on disk, and done that it was read.
func (l *Live) seen() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.pending == nil {
		l.pending = make(chan struct{})
	}
}

func (l *Live) done() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.pending != nil {
		close(l.pending)
		l.pending = nil
	}
}

// Reload reads everything anew.
func (l *Live) Reload() {
	l.reading.Lock()
	defer l.reading.Unlock()
	before := l.State()
	next := &State{Config: before.Config, Profiles: map[string]*profile.Profile{}, Broken: map[string]error{}}
	if c, err := Load(l.dirs); err != nil {
		next.Err = err
		l.tell(before.Err, err)
	} else {
		next.Config = c
	}
	l.reloadPolicy(before, next)
	var dirs []string
	for _, d := range l.dirs {
		dirs = append(dirs, filepath.Join(d, "profiles"))
	}
	for _, e := range profile.Load(dirs...).List() {
		if e.Err == nil {
			next.Profiles[e.Name] = e.Profile
			continue
		}
		next.Broken[e.Name] = e.Err
		if p := before.Profiles[e.Name]; p != nil {
			next.Profiles[e.Name] = p
		}
		l.tell(before.Broken[e.Name], e.Err)
	}
	for _, name := range next.missing() {
		l.log.Warn("the configuration names a profile that there is not", "file", next.Config.File, "profile", name)
	}
	l.mu.Lock()
	l.state = next
	l.mu.Unlock()
	if l.changed != nil {
		l.changed()
	}
}

// tell logs an error that was not there before.
func (l *Live) tell(before, now error) {
	if before == nil || before.Error() != now.Error() {
		l.log.Error("the configuration is wrong; what was right before stays in force", "error", now)
	}
}

// missing lists the profiles that the configuration names in vain.
func (s *State) missing() []string {
	return slices.DeleteFunc(s.Config.Named(), func(name string) bool { return s.Profiles[name] != nil || s.Broken[name] != nil })
}

// settle is how long a change may take to be complete: an editor writes,
// renames and removes.
const settle = 100 * time.Millisecond

// settleMost is how long a login waits for one that does not end.
const settleMost = 3 * settle

// Watch reloads whenever something changes on disk, until ctx ends. Directories
// that are made later are found by watching the one above.
func (l *Live) Watch(ctx context.Context) error {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return fmt.Errorf("watch the configuration: %w", err)
	}
	defer w.Close()
	l.watchAll(w)
	l.Reload() // what changed before the watch was in place
	defer l.done()
	timer := time.NewTimer(settle)
	timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case _, ok := <-w.Events:
			if !ok {
				return errors.New("watch the configuration: the watch ended")
			}
			l.seen()
			timer.Reset(settle)
		case err := <-w.Errors:
			l.log.Warn("a change of the configuration may have been missed", "error", err)
			timer.Reset(settle)
		case <-timer.C:
			l.watchAll(w)
			l.Reload()
			l.done()
		}
	}
}

func (l *Live) watchAll(w *fsnotify.Watcher) {
	for _, d := range l.dirs {
		// The one above matters for as long as there is none.
		if _, err := os.Stat(d); err == nil {
			_ = w.Remove(filepath.Dir(d)) // it need not be watched
		} else if err := w.Add(filepath.Dir(d)); err != nil {
			l.log.Warn("a directory cannot be watched", "dir", filepath.Dir(d), "error", err)
		}
		for _, dir := range []string{d, filepath.Join(d, "profiles"), filepath.Join(d, PolicyDir)} {
			// Adding what is watched already does nothing.
			if err := w.Add(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
				l.log.Warn("a directory cannot be watched", "dir", dir, "error", err)
			}
		}
	}
}
