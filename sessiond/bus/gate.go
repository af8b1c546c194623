package bus

import (
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

func busy(format string, args ...any) error {
	return &dbus.Error{Name: "org.freedesktop.DBus.Error.LimitsExceeded", Body: []any{fmt.Sprintf(format, args...)}}
}
