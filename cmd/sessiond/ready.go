package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"

	"ninefold/roots/store"
	"ninefold/sessiond/desktop"
	"ninefold/sessiond/entries"
	"ninefold/sessiond/profile"
)

// wake makes who waits on c look, unless that is on its way.
func wake(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// makeReady makes ready what the profiles need, and offers their desktops to
// greeters: at the start, and after each change of the configuration or of an
// image, so that no login waits for it.
func (d *parts) makeReady(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-d.ready:
			d.manager().Ready(ctx)
			d.offer(ctx)
		}
	}
}

// offer keeps a session entry for each desktop of each profile that logins can get.
func (d *parts) offer(ctx context.Context) {
	if d.entries == "" {
		return
	}
	state := d.config.State()
	var want []desktop.Entry
	unsure := map[string]bool{}
	for _, name := range state.Config.Named() {
		p, err := state.Find(name)
		if err != nil {
			unsure[name] = !errors.Is(err, profile.ErrNotFound) // a mistake, which somebody will correct
			continue
		}
		sessions, err := d.manager().Sessions(ctx, p)
		if err != nil {
			// Without its image there is no desktop; any other failure says nothing about it.
			unsure[name] = !errors.Is(err, store.ErrNotFound)
			continue
		}
		for _, s := range sessions {
			want = append(want, desktop.Entry{Profile: name, Session: s})
		}
	}
	if ctx.Err() != nil {
		return
	}
	keep := func(profile string) bool { return unsure[profile] }
	err := entries.Sync(d.entries, want, keep)
	if d.entries == entries.Dir {
		err = errors.Join(err, entries.SyncForSDDM(want, keep))
	}
	if err != nil {
		d.log.Warn("greeters may not show the desktops of all profiles", "error", err)
	}
}

// watchImages wakes makeReady when a name stands for another image.
func (d *parts) watchImages(ctx context.Context) error {
	s, err := d.manager().Store() // which makes its directories
	if err != nil {
		return err
	}
	if err := s.Close(); err != nil {
		return err
	}
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return fmt.Errorf("watch the images: %w", err)
	}
	defer w.Close()
	if err := w.Add(filepath.Join(d.manager().StoreDir(), "tags")); err != nil {
		return fmt.Errorf("watch the images: %w", err)
	}
	timer := time.NewTimer(0) // what changed before the watch was in place
	for {
		select {
		case <-ctx.Done():
			return nil
		case _, ok := <-w.Events:
			if !ok {
				return errors.New("watch the images: the watch ended")
			}
			timer.Reset(settled)
		case <-w.Errors:
			timer.Reset(settled)
		case <-timer.C:
			wake(d.ready)
		}
	}
}

// settled is how long a change of the images may take to be complete.
const settled = 200 * time.Millisecond
