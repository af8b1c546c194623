package bus

import (
	"context"
	"fmt"
	"sync"

	"github.com/godbus/dbus/v5"
)

// The bounds of what is under way at a time. What a user asks of polkit can
// wait for minutes, so it has a bound of its own.
const (
	maxCalls    = 256
	maxOfSender = 16
	maxAsked    = 8 // of one uid
)

// gate counts calls.
type gate struct {
	mu     sync.Mutex
	calls  int
	sender map[string]int
	asked  map[uint32]int
}

func newGate() *gate { return &gate{sender: map[string]int{}, asked: map[uint32]int{}} }

// enter counts a call in, if there is room for it; leave is called once.
func (g *gate) enter(sender string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.calls >= maxCalls || g.sender[sender] >= maxOfSender {
		return false
	}
	g.calls++
	g.sender[sender]++
	return true
}

func (g *gate) leave(sender string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.calls--
	if g.sender[sender]--; g.sender[sender] == 0 {
		delete(g.sender, sender)
	}
}

// ask counts a question to polkit in. It no longer counts as a call meanwhile:
// others are served while a person types a password.
func (g *gate) ask(uid uint32) (release func(), ok bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.asked[uid] >= maxAsked {
		return nil, false
	}
	g.asked[uid]++
	g.calls--
	return func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.calls++
		if g.asked[uid]--; g.asked[uid] == 0 {
			delete(g.asked, uid)
		}
	}, true
}

// The bounds of calls that walk through what views hold, or write it. One user
// has one at a time, and others wait behind it.
const (
	maxWork       = 4
	maxWorkOfUser = 8 // waiting, too
)

// work orders such calls.
type work struct {
	mu     sync.Mutex
	places chan struct{}
	users  map[uint32]*userWork
}

type userWork struct {
	place chan struct{}
	n     int // at it and waiting
}

func newWork() *work {
	return &work{places: make(chan struct{}, maxWork), users: map[uint32]*userWork{}}
}

// begin waits for uid's turn until ctx ends. done is called once.
func (w *work) begin(ctx context.Context, uid uint32) (done func(), err error) {
	w.mu.Lock()
	u := w.users[uid]
	if u == nil {
		u = &userWork{place: make(chan struct{}, 1)}
		w.users[uid] = u
	}
	if u.n >= maxWorkOfUser {
		w.mu.Unlock()
		return nil, busy("too much of uid %d is under way", uid)
	}
	u.n++
	w.mu.Unlock()
	var held []chan struct{}
	done = func() {
		for _, c := range held {
			<-c
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		if u.n--; u.n == 0 {
			delete(w.users, uid)
		}
	}
	for _, c := range []chan struct{}{u.place, w.places} {
		select {
		case c <- struct{}{}:
			held = append(held, c)
		case <-ctx.Done():
			done()
			return nil, ctx.Err()
		}
	}
	return done, nil
}

func busy(format string, args ...any) error {
	return &dbus.Error{Name: "org.freedesktop.DBus.Error.LimitsExceeded", Body: []any{fmt.Sprintf(format, args...)}}
}
