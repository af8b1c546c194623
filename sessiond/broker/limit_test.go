package broker

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
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
