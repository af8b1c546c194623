package broker

import (
	"context"
	"errors"
	"sync"
	"time"

	"ninefold/sessiond/broker/wire"
)

// The bounds of what users have under way. Each conversation holds a socket and
// a goroutine, and while it starts three streams.
const (
	maxConversations = 8192
	maxOfUser        = 1024
	// maxMemory is lent to requests that are large, freeRequest to each.
	maxMemory   = 64 << 20
	maxOfMemory = 16 << 20 // to one user
	freeRequest = 8 << 10

	// maxStarting is how many commands systemd has to start at a time, and how
	// many of them may be of one user and of one session: who starts thousands
	// waits for their own. PID 1 does one thing after the other, so what it was
	// given is what the command of somebody else waits behind.
	maxStarting          = 12
	maxStartingOfUser    = 4
	maxStartingOfSession = 2
	// crowdTime is for how long after a start of theirs a user is one of several: each
	// of them then has one command started at a time.
	crowdTime = 100 * time.Millisecond
	// startTime is after how long a command that goes on no longer counts as one
	// that is being started.
	startTime = 50 * time.Millisecond
)

var errBusy = errors.New("too much of yours is under way")

// limits counts.
type limits struct {
	mu sync.Mutex
	// most bounds the conversations, and mostOfUser those of one user.
	most, mostOfUser int

	open   int
	users  map[uint32]*usage
	memory int

	starting chan struct{}
	queues   map[queueKey]*queue
	asked    map[uint32]time.Time // when each user last had something to start
}

type usage struct{ open, memory, questions, stuck int }

// queueKey is what waits together: a user's, those of one session, or what a user
// has while others have some.
type queueKey struct {
	uid     uint32
	session string
	crowded bool
}

type queue struct {
	places chan struct{}
	users  int
}

// newLimits is for a daemon that may have that many descriptors open.
func newLimits(descriptors uint64) *limits {
	most := places(descriptors)
	return &limits{most: most, mostOfUser: max(1, min(maxOfUser, most/2)), users: map[uint32]*usage{}, starting: make(chan struct{}, maxStarting), queues: map[queueKey]*queue{}, asked: map[uint32]time.Time{}}
}

// ofConversation is how many descriptors one has at most: its socket, what comes
// along, a terminal and a directory.
const ofConversation = 1 + wire.MaxFDs + 3

// places is how many conversations there may be, so that half of the descriptors
// stay for logins, the bus and whatever else the daemon does.
func places(descriptors uint64) int {
	return int(max(1, min(maxConversations, descriptors/2/ofConversation)))
}

// admit lets one conversation of uid in, and returns what ends it. Root is
// bounded by the whole alone.
func (l *limits) admit(uid uint32) (release func(), ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	u := l.users[uid]
	if l.open >= l.most || u != nil && uid != 0 && (u.open >= l.mostOfUser || u.stuck >= maxStuck) {
		return nil, false
	}
	if u == nil {
		u = &usage{}
		l.users[uid] = u
	}
	u.open++
	l.open++
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.open--
		u.open--
		l.forget(uid, u)
	}, true
}

// forget drops a user who has nothing under way. l.mu is held.
func (l *limits) forget(uid uint32, u *usage) {
	if *u == (usage{}) {
		delete(l.users, uid)
	}
}

// maxQuestions bounds the windows that a user can have opened.
const maxQuestions = 4

// question counts a question to a person for uid, who is admitted.
func (l *limits) question(uid uint32) (leave func(), ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	u := l.users[uid]
	if u == nil || u.questions >= maxQuestions {
		return nil, false
	}
	u.questions++
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		u.questions--
		l.forget(uid, u)
	}, true
}

// lookup waits for a place among the paths that are looked up for uid, until ctx
// ends. What holds it can last longer than the conversation.
func (l *limits) lookup(ctx context.Context, uid uint32) (leave func(), err error) {
	places, leaveQueue := l.queue(queueKey{uid: uid, session: "lookups"}, maxLookups)
	select {
	case places <- struct{}{}:
		return func() { <-places; leaveQueue() }, nil
	case <-ctx.Done():
		leaveQueue()
		return nil, ctx.Err()
	}
}

// maxStuck bounds the descriptors of a user that do not close.
const maxStuck = 16

// stuck counts descriptors of uid that do not close, for longer than the
// conversation may last.
func (l *limits) stuck(uid uint32) (leave func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	u := l.users[uid]
	if u == nil {
		u = &usage{}
		l.users[uid] = u
	}
	u.stuck++
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		u.stuck--
		l.forget(uid, u)
	}
}

// borrow lends memory for a request of n bytes to uid, who is admitted.
func (l *limits) borrow(uid uint32, n int) (give func(), err error) {
	if n <= freeRequest {
		return func() {}, nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	u := l.users[uid]
	if u == nil || l.memory+n > maxMemory || u.memory+n > maxOfMemory {
		return nil, errBusy
	}
	u.memory += n
	l.memory += n
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		u.memory -= n
		l.memory -= n
		l.forget(uid, u)
	}, nil
}

// start waits for a place among those that systemd starts: first behind one's
// own session, then behind one's own user, then behind all. At most a few of a
// session come to the last queue, so sessions take turns there.
func (l *limits) start(ctx context.Context, uid uint32, session string) (done func(), err error) {
	session = "session " + session // never the queue of the user
	var given []func()
	done = func() {
		l.ask(uid)
		for _, give := range given {
			give()
		}
	}
	take := func(c chan struct{}) error {
		select {
		case c <- struct{}{}:
			given = append(given, func() { <-c })
		case <-ctx.Done():
		}
		// Both can be there at once: a place, and nobody who needs it any more.
		return ctx.Err()
	}
	behind := func(k queueKey, places int) error {
		c, leave := l.queue(k, places)
		given = append(given, leave)
		return take(c)
	}
	l.ask(uid)
	err = behind(queueKey{uid: uid, session: session}, maxStartingOfSession)
	if err == nil {
		err = behind(queueKey{uid: uid}, maxStartingOfUser)
	}
	if err == nil && l.crowded(uid) {
		err = behind(queueKey{uid: uid, crowded: true}, 1)
	}
	if err == nil {
		err = take(l.starting)
	}
	if err != nil {
		done()
		return nil, err
	}
	return done, nil
}

// ask notes that uid has something to start.
func (l *limits) ask(uid uint32) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	for other, at := range l.asked {
		if now.Sub(at) > crowdTime {
			delete(l.asked, other)
		}
	}
	l.asked[uid] = now
}

// crowded reports whether somebody else than uid has things to start.
func (l *limits) crowded(uid uint32) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for other, at := range l.asked {
		if other != uid && time.Since(at) <= crowdTime {
			return true
		}
	}
	return false
}

func (l *limits) queue(k queueKey, places int) (chan struct{}, func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	q := l.queues[k]
	if q == nil {
		q = &queue{places: make(chan struct{}, places)}
		l.queues[k] = q
	}
	q.users++
	return q.places, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if q.users--; q.users == 0 {
			delete(l.queues, k)
		}
	}
}
