package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"ninefold/sessiond/api"
	"ninefold/sessiond/door"
)

// inProcess runs the daemon's parts here, with its door.
func (w *world) inProcess() *parts {
	w.t.Helper()
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	o := options{config: filepath.Join(w.dir, "config"), state: filepath.Join(w.dir, "state"), runtime: filepath.Dir(door.Path), grace: 50 * time.Millisecond}
	// The programs of sessions are looked for beside the running program.
	self, err := os.Executable()
	if err != nil {
		w.t.Fatal(err)
	}
	init := filepath.Join(filepath.Dir(self), "ninefold-init")
	if b, err := os.ReadFile(filepath.Join(w.dir, "ninefold-init")); err != nil {
		w.t.Fatal(err)
	} else if err := os.WriteFile(init, b, 0o755); err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	d, err := o.assemble(ctx, log)
	if err != nil {
		w.t.Fatal(err)
	}
	listeners, _, err := o.listen()
	if err != nil {
		w.t.Fatal(err)
	}
	var wg sync.WaitGroup
	d.run(ctx, &wg)
	wg.Go(func() {
		if err := door.NewServer(d.logins, log).Serve(ctx, listeners[0]); err != nil {
			w.t.Error(err)
		}
	})
	w.t.Cleanup(func() {
		cancel()
		wg.Wait()
		d.views.Close()
	})
	return d
}

func TestTheServiceListsAndEnds(t *testing.T) {
	w := newWorld(t)
	s := w.inProcess().service
	ctx := t.Context()
	events := s.Subscribe(ctx)
	g := w.login(door.Session, "", "")
	other := w.login(door.Session, "other", "")

	all, err := s.Views(ctx)
	if err != nil || len(all) != 2 {
		t.Fatalf("%+v %v", all, err)
	}
	v := all[0]
	if v.Profile != "plain" || v.User != "mia" || v.UID != w.uid || v.Class != "trusted" || len(v.Sessions) != 1 || len(v.Layers) != 1 || v.Layers[0] != "host" || !strings.HasPrefix(v.Plan, "ninefold 1") {
		t.Errorf("got %+v", v)
	}
	one, err := s.Session(ctx, v.Sessions[0])
	if err != nil || one.View != v.ID || one.Service != "su" || one.Leader != g.cmd.Process.Pid {
		t.Errorf("got %+v %v", one, err)
	}
	ns, err := s.Namespace(ctx, v.ID)
	if err != nil {
		t.Fatal(err)
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(ns.Fd()), &st); err != nil || st.Ino != v.MountNS {
		t.Errorf("the namespace is %d, not %d: %v", st.Ino, v.MountNS, err)
	}
	ns.Close()
	if st, err := s.Status(ctx); err != nil || st.Views != 2 || st.Sessions != 2 || st.ConfigError != "" {
		t.Errorf("got %+v %v", st, err)
	}

	// One by its leader, one with everything in it.
	if err := s.EndSession(ctx, v.Sessions[0]); err != nil {
		t.Fatal(err)
	}
	if err := g.cmd.Wait(); err == nil {
		t.Error("the leader ended well")
	}
	other.sh(t, "trap '' TERM; setsid sleep 1000 >/dev/null 2>&1 & echo ok")
	if err := s.EndView(ctx, all[1].ID); err != nil {
		t.Fatal(err)
	}
	w.until("nothing is left", func() bool {
		v, err := s.Views(ctx)
		return err == nil && len(v) == 0 && len(w.holders()) == 0 && len(w.records()) == 0
	})
	if _, err := s.View(ctx, v.ID); !errors.Is(err, api.ErrNotFound) {
		t.Errorf("got %v", err)
	}
	if err := s.EndSession(ctx, "p1"); !errors.Is(err, api.ErrNotFound) {
		t.Errorf("got %v", err)
	}
	seen := map[api.EventKind]int{}
	// The last is told after the view has left the list.
	w.until("everything to be told", func() bool {
		for len(events) > 0 {
			seen[(<-events).Kind]++
		}
		for _, kind := range []api.EventKind{api.ViewNew, api.SessionNew, api.SessionRemoved, api.ViewRemoved} {
			if seen[kind] != 2 {
				return false
			}
		}
		return true
	})
}

func TestTheOutlookOfALogin(t *testing.T) {
	w := newWorld(t)
	s := w.inProcess().service
	for _, c := range []struct{ user, choice, profile, why string }{
		{"mia", "", "plain", "the default of mia"},
		{"mia", "other", "other", "chosen"},
		{"mia", "none", "plain", `"none" is not one that you may choose`},
		{"root", "other", "", "not a person's"},
	} {
		o, err := s.Outlook(t.Context(), c.user, c.choice)
		if err != nil || o.Profile != c.profile || !strings.Contains(o.Why, c.why) || o.Refused {
			t.Errorf("%s, %q: got %+v %v", c.user, c.choice, o, err)
		}
	}
	if _, err := s.Outlook(t.Context(), "nobody-of-that-name", ""); err == nil {
		t.Error("an outlook for nobody")
	}
	profiles, err := s.Profiles(t.Context())
	if err != nil || len(profiles) != 5 || profiles[4].Name != "plain" || !profiles[4].Choose || profiles[4].Default {
		t.Errorf("got %+v %v", profiles, err)
	}
}
