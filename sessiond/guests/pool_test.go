package guests_test

import (
	"context"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"ninefold/namespaces/plan"
	"ninefold/sessiond/decided"
	"ninefold/sessiond/guests"
	"ninefold/tests/needs"
)

// eventually waits until f says nothing is wrong.
func eventually(t *testing.T, what string, f func() bool) {
	t.Helper()
	for begun := time.Now(); !f(); time.Sleep(5 * time.Millisecond) {
		if time.Since(begun) > 30*time.Second {
			t.Fatalf("%s: not after 30 s", what)
		}
	}
}

// TestPool: guests get what is prepared, one each, as long as it is what would be
// made for them; the pool is filled again; and when it ends, those who are in stay.
func TestPool(t *testing.T) {
	needs.Root(t)
	state := t.TempDir()
	socket := filepath.Join(t.TempDir(), "pool")
	all, s := guests.Open(state).Asking(socket), decide(t, state)
	withoutRecords(t, all)
	var mu sync.Mutex
	now := s
	pool := guests.Pool{Guests: all, Size: 2, Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
		Decide: func(context.Context) (*decided.Session, func(), error) {
			mu.Lock()
			defer mu.Unlock()
			return now, func() {}, nil
		}}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	over := make(chan error, 1)
	go func() { over <- pool.Serve(ctx, socket) }()
	named := func(want guests.State) (names []string) {
		list, err := all.List()
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range list {
			if r.State == want {
				names = append(names, r.Name)
			}
		}
		return names
	}
	full := func() bool { return len(named(guests.Waiting)) == 2 }
	run := func(s *decided.Session, argv ...string) string {
		return strings.TrimSpace(heard(t, func(out *os.File) error {
			_, err := all.Run(t.Context(), s, decided.Request{Command: argv, Stdout: out})
			return err
		}))
	}

	eventually(t, "two are prepared", full)
	before := named(guests.Waiting)
	got := run(s, "sh", "-c", "id -un")
	if !slices.Contains(before, got) || !slices.Contains(named(guests.Ended), got) {
		t.Errorf("%s came in, and %v were prepared", got, before)
	}
	eventually(t, "another is prepared", full)

	// The terminal is nobody's session's, and everything else is.
	other := *s
	other.Plan = &plan.Plan{Class: s.Plan.Class, Ops: slices.Clone(s.Plan.Ops)}
	at := slices.IndexFunc(other.Plan.Ops, func(op plan.Op) bool { _, ok := op.(plan.Environment); return ok })
	other.Plan.Ops = slices.Insert(other.Plan.Ops, at, plan.Op(plan.Environment{Name: "TERM", Value: "vt100"}))
	before = named(guests.Waiting)
	if got := run(&other, "sh", "-c", "id -un; echo $TERM"); !slices.Contains(before, strings.Fields(got)[0]) {
		t.Errorf("on another terminal: %s, and %v were prepared", got, before)
	}
	eventually(t, "another is prepared", full)
	other.Plan.Ops = slices.Insert(other.Plan.Ops, at, plan.Op(plan.Environment{Name: "OTHER", Value: "x"}))
	before = named(guests.Waiting)
	if got := run(&other, "sh", "-c", "id -un; echo $OTHER"); slices.Contains(before, strings.Fields(got)[0]) || !strings.HasSuffix(got, "\nx") {
		t.Errorf("what is prepared is not what was asked for: %s of %v", got, before)
	}
	// Who logs in gets one of its profile, which the keeper keeps if it is right.
	eventually(t, "another is prepared", full)
	before = named(guests.Waiting)
	if name, offered, got := logIn(t, all, s); !slices.Contains(before, name) || offered == 0 || offered != got {
		t.Errorf("%s logged in to %d, %v were prepared, and %d was offered", name, got, before, offered)
	}
	eventually(t, "another is prepared", full)
	before = named(guests.Waiting)
	if name, offered, got := logIn(t, all, &other); !slices.Contains(before, name) || offered == 0 || offered == got {
		t.Errorf("%s logged in to %d, %v were prepared for something else, and %d was offered", name, got, before, offered)
	}
	eventually(t, "another is prepared", full)
	mu.Lock()
	now = &other
	mu.Unlock()
	_ = run(&other, "true") // who finds nothing has the pool look
	eventually(t, "the others are given up", func() bool {
		return full() && !slices.ContainsFunc(before, func(name string) bool { return slices.Contains(named(guests.Waiting), name) })
	})

	// One is in while the pool ends.
	eventually(t, "two are prepared", full)
	before = named(guests.Waiting)
	stdin, ours, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer stdin.Close()
	in := make(chan string, 1)
	go func() {
		in <- heard(t, func(out *os.File) error {
			_, err := all.Run(t.Context(), &other, decided.Request{Command: []string{"sh", "-c", "cat; id -un"}, Stdin: stdin, Stdout: out})
			return err
		})
	}()
	name := ""
	eventually(t, "one of those is in", func() bool {
		for _, live := range named(guests.Live) {
			if slices.Contains(before, live) {
				name = live
			}
		}
		return name != ""
	})
	stop()
	if err := <-over; err != nil {
		t.Error(err)
	}
	_, _ = ours.WriteString("still here\n")
	ours.Close()
	if said := <-in; said != "still here\n"+name+"\n" {
		t.Errorf("%s says %q", name, said)
	}
	if left := named(guests.Waiting); len(left) != 0 {
		t.Errorf("still prepared are %v", left)
	}
	if _, err := os.Stat(socket); err == nil {
		t.Error("the socket is there")
	}
}
