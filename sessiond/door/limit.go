package door

import (
	"sync"
	"time"
)

// limiter bounds what users can ask. Root is not bounded: fifty people may log
// in at once, and whoever is root has shorter ways to do harm.
type limiter struct {
	mu    *sync.Mutex
	users map[uint32]*allowance
	open  int
}

// allowance is a token bucket of one user, and how many connections are open.
type allowance struct {
	tokens float64
	at     time.Time
	open   int
}

// maxRemembered is how many users the limiter keeps in mind at most.
const maxRemembered = 4096

func newLimiter() limiter { return limiter{mu: &sync.Mutex{}, users: map[uint32]*allowance{}} }

// admit lets one request of uid in, and returns what ends it.
func (l *limiter) admit(uid uint32, now time.Time) (release func(), ok bool) {
	if uid == 0 {
		return func() {}, true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	a := l.users[uid]
	if a == nil {
		if len(l.users) >= maxRemembered {
			l.forget(now)
		}
		if len(l.users) >= maxRemembered {
			return nil, false
		}
		a = &allowance{tokens: rateBurst, at: now}
		l.users[uid] = a
	}
	a.refill(now)
	if a.open >= maxOfOneUser || l.open >= maxOfUsers || a.tokens < 1 {
		return nil, false
	}
	a.tokens--
	a.open++
	l.open++
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		a.open--
		l.open--
	}, true
}

func (a *allowance) refill(now time.Time) {
	a.tokens = min(rateBurst, a.tokens+now.Sub(a.at).Seconds()*ratePerSecond)
	a.at = now
}

// forget drops the users who have their whole allowance.
func (l *limiter) forget(now time.Time) {
	for uid, a := range l.users {
		if a.refill(now); a.open == 0 && a.tokens >= rateBurst {
			delete(l.users, uid)
		}
	}
}
