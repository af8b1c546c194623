package hostbus

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"

	"ninefold/tests/needs"
)

// silentSystemd has systemd's name and never answers: a manager that hangs cannot
// be had from the real one.
func silentSystemd(t *testing.T, socket string) (asked chan struct{}) {
	t.Helper()
	c, err := dbus.Connect("unix:path=" + socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if _, err := c.RequestName(systemdName, dbus.NameFlagDoNotQueue); err != nil {
		t.Fatal(err)
	}
	asked = make(chan struct{}, 16)
	calls := make(chan *dbus.Message, 16)
	// From here on the library answers nothing by itself.
	c.Eavesdrop(calls)
	go func() {
		for m := range calls {
			if m.Type == dbus.TypeMethodCall {
				asked <- struct{}{}
			}
		}
	}()
	return asked
}

// TestTheBusIsGone: without a bus, without systemd on it, when it ends while an
// answer is waited for, and when it has come back.
func TestTheBusIsGone(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "bus")
	s := New(socket)
	defer s.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if _, err := s.List(ctx, "x"); !errors.Is(err, ErrBus) {
		t.Errorf("without a bus: %v", err)
	}
	stop := needs.Bus(t, socket)
	if _, err := s.List(ctx, "x"); !errors.Is(err, ErrBus) {
		t.Errorf("on a bus without systemd: %v", err)
	}
	if err := s.Authorize(ctx, Process{PID: os.Getpid()}, "org.ninefold.host.run", nil, false); err == nil {
		t.Error("it is authorised without a bus that works")
	}
	for _, round := range []string{"first", "after it came back"} {
		asked := silentSystemd(t, socket)
		ended := make(chan error, 1)
		go func() { _, err := s.List(ctx, "x"); ended <- err }()
		select {
		case <-asked:
		case err := <-ended:
			t.Fatalf("%s: nothing was asked: %v", round, err)
		}
		stop()
		if err := <-ended; !errors.Is(err, ErrBus) {
			t.Errorf("%s: the bus ended while an answer was waited for: %v", round, err)
		}
		stop = needs.Bus(t, socket)
	}
}

// TestNoPolkit: a bus that works and has no polkit says no.
func TestNoPolkit(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "bus")
	needs.Bus(t, socket)
	silentSystemd(t, socket)
	s := New(socket)
	defer s.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	err := s.Authorize(ctx, Process{PID: os.Getpid()}, "org.ninefold.host.run", map[string]string{"command_line": "/usr/bin/id"}, true)
	if !errors.Is(err, ErrNoPolkit) {
		t.Errorf("got %v", err)
	}
}
