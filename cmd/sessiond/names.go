package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/fsnotify/fsnotify"

	"ninefold/sessiond/aliases"
	"ninefold/sessiond/config"
	"ninefold/sessiond/identity"
)

// names keeps the records of PERSON+PROFILE while the daemon runs, and only then:
// nobody else would see that sshd, PAM or the people have changed.
type names struct {
	dir     string // "" keeps none
	changed chan struct{}
	log     *slog.Logger
	users   identity.Host
	said    string // why there are none, as it was last logged
}

// keep keeps them until ctx ends.
func (n *names) keep(ctx context.Context, state func() *config.State) error {
	if n.dir == "" {
		return nil
	}
	// Also where no watch can be had: then there are none.
	defer func() {
		if err := aliases.Sync(n.dir, nil); err != nil {
			n.log.Error("ssh may still know names with a profile", "error", err)
		}
	}()
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return fmt.Errorf("watch sshd, PAM and the accounts: %w", err)
	}
	defer w.Close()
	timer := time.NewTimer(0)
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-n.changed:
			timer.Reset(0)
		case e, ok := <-w.Events:
			if !ok {
				return errors.New("watch sshd, PAM and the accounts: the watch ended")
			}
			if concerns(e.Name) {
				timer.Reset(settled)
			}
		case <-w.Errors:
			timer.Reset(settled)
		case <-timer.C:
			n.look(ctx, w, state())
		}
	}
}

// concerns reports whether a file in a directory that is watched counts. /etc
// has many that do not.
func concerns(name string) bool {
	return filepath.Dir(name) != "/etc" || slices.Contains([]string{"passwd", "login.defs", "nsswitch.conf", "ssh", "pam.d"}, filepath.Base(name))
}

// look makes the records what they are to be now.
func (n *names) look(ctx context.Context, w *fsnotify.Watcher, state *config.State) {
	want := map[string]string{}
	if login := state.Config.Login; login.Aliases {
		// Twice, so that what changed before the watch was in place counts.
		_, dirs := aliases.Obstacle("")
		for _, dir := range dirs {
			n.watch(w, dir)
		}
		why, _ := aliases.Obstacle("")
		if why != n.said && why != "" {
			n.log.Warn("ssh is not given names with a profile", "why", why)
		}
		n.said = why
		if why == "" {
			want = n.want(ctx, state)
		}
	}
	if ctx.Err() != nil {
		return
	}
	if err := aliases.Sync(n.dir, want); err != nil {
		n.log.Error("ssh may not know all names with a profile", "error", err)
	}
}

// watch watches dir, or what there is above it.
func (n *names) watch(w *fsnotify.Watcher, dir string) {
	for ; ; dir = filepath.Dir(dir) {
		err := w.Add(dir) // what is watched already stays so
		if err == nil || dir == "/" {
			return
		}
		if !errors.Is(err, os.ErrNotExist) {
			n.log.Warn("a directory cannot be watched", "dir", dir, "error", err)
		}
	}
}

// want are the records of who may enter, for what they may choose.
func (n *names) want(ctx context.Context, state *config.State) map[string]string {
	login := state.Config.Login
	accounts, err := n.users.Local()
	if err != nil {
		n.log.Error("ssh is given no names with a profile", "error", err)
		return nil
	}
	have, err := aliases.Records(n.dir)
	if err != nil {
		n.log.Error("ssh is given no names with a profile", "error", err)
		return nil
	}
	var people []identity.User
	local := map[string]bool{}
	limits := identity.ReadLimits(identity.LimitsFile)
	for _, u := range accounts {
		local[u.Name] = true
		if limits.Enters(u.UID, login.Ranges()) {
			people = append(people, u)
		}
	}
	taken := func(name string) bool {
		if local[name] || have[name] != "" {
			return local[name]
		}
		_, err := n.users.ByName(ctx, name) // a directory's
		return !errors.Is(err, identity.ErrNoUser)
	}
	exists := func(profile string) bool {
		_, err := state.Find(profile)
		return err == nil
	}
	want, left := aliases.Want(people, login, exists, taken)
	if left > 0 {
		n.log.Warn("not all names with a profile are there", "most", aliases.Max, "left out", left)
	}
	return want
}
