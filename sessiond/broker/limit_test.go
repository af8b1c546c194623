package broker

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// TestFloodsWaitForTheirOwn has sessions ask for hundreds of starts of which none
// comes to an end, and another session ask for one.
func TestFloodsWaitForTheirOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimits(1 << 20)
		ctx, giveUp := context.WithCancel(t.Context())
		var mu sync.Mutex
		var done []func()
		flood := func(uid uint32, session string) {
			for range 300 {
				go func() {
					if d, err := l.start(ctx, uid, session); err == nil {
						mu.Lock()
						defer mu.Unlock()
						done = append(done, d)
					}
				}()
			}
			synctest.Wait()
		}
		for i, c := range []struct {
			session string
			started int
		}{{"1", maxStartingOfSession}, {"2", 2 * maxStartingOfSession}, {"3", maxStartingOfUser}} {
			if flood(1000, c.session); len(done) != c.started {
				t.Errorf("%d are started after %d floods, want %d", len(done), i+1, c.started)
			}
		}
		other, err := l.start(ctx, 1001, "4")
		if err != nil {
			t.Fatal(err)
		}
		other()

		// Nobody is lost: whoever gives a place back lets the next one start.
		before := len(done)
		done[0]()
		synctest.Wait()
		if len(done) != before+1 {
			t.Errorf("%d start when a place is given back", len(done)-before)
		}
		giveUp()
		synctest.Wait()
		for _, d := range done[1:] {
			d()
		}
		if len(l.queues) != 0 || len(l.starting) != 0 {
			t.Errorf("%d queues and %d places are left", len(l.queues), len(l.starting))
		}
		if _, err := l.start(ctx, 1000, "1"); err == nil {
			t.Error("one who has gone away is started")
		} else if !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
}

// TestUsersTakeTurns: who has several commands started at a time has one when
// somebody else has some to start, and several again afterwards.
func TestUsersTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimits(1 << 20)
		start := func(uid uint32, session string) func() {
			t.Helper()
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			done, err := l.start(ctx, uid, session)
			if err != nil {
				return nil
			}
			return done
		}
		first, second := start(1000, "1"), start(1000, "2")
		if first == nil || second == nil {
			t.Fatal("a user alone has one command started at a time")
		}
		first()
		second()
		other := start(1001, "3")
		first = start(1000, "1")
		other()
		other = start(1001, "3")
		if first == nil || other == nil {
			t.Fatal("two users wait for each other")
		}
		if second = start(1000, "2"); second != nil {
			t.Error("one of two users has two commands started at a time")
		}
		first()
		other()
		time.Sleep(2 * crowdTime)
		first, second = start(1000, "1"), start(1000, "2")
		if first == nil || second == nil {
			t.Fatal("a user who is alone again has one command started at a time")
		}
		first()
		second()
		if len(l.queues) != 0 || len(l.starting) != 0 {
			t.Errorf("%d queues and %d places are left", len(l.queues), len(l.starting))
		}
	})
}

// TestLookupsWait: many commands at once are each looked up, and what never
// answers is waited for as long as is asked for.
func TestLookupsWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimits(1 << 20)
		var done sync.WaitGroup
		for range 100 {
			done.Go(func() {
				leave, err := l.lookup(t.Context(), 1000)
				if err != nil {
					t.Error(err)
					return
				}
				time.Sleep(time.Millisecond)
				leave()
			})
		}
		done.Wait()
		for range maxLookups {
			if _, err := l.lookup(t.Context(), 1000); err != nil {
				t.Fatal(err)
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), lookupWait)
		defer cancel()
		if _, err := l.lookup(ctx, 1000); err == nil {
			t.Error("what never answers is not bounded")
		}
		if leave, err := l.lookup(t.Context(), 1001); err != nil {
			t.Errorf("somebody else: %v", err)
		} else {
			leave()
		}
	})
}

// TestDescriptorsStayForOthers: however few the daemon has, half of them are not
// for conversations, and no user has all of those.
func TestDescriptorsStayForOthers(t *testing.T) {
	for _, n := range []uint64{256, 1024, 65536, 131072, 1 << 30} {
		l := newLimits(n)
		if uint64(l.most)*ofConversation > n/2 || l.most < 1 || l.mostOfUser < 1 || l.mostOfUser > max(1, l.most/2) {
			t.Errorf("of %d descriptors: %d conversations, %d of a user", n, l.most, l.mostOfUser)
		}
	}
	if l := newLimits(131072); l.mostOfUser != maxOfUser {
		t.Errorf("as installed a user has %d conversations", l.mostOfUser)
	}
}
