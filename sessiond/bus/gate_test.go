package bus

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
)

// TestWorkHasBounds: one user's work is done one after the other, others' beside
// it, and neither without end.
func TestWorkHasBounds(t *testing.T) {
	w := newWork()
	over, cancel := context.WithCancel(t.Context())
	cancel()
	var all []func()
	for uid := range uint32(maxWork) {
		done, err := w.begin(t.Context(), uid)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, done)
		if _, err := w.begin(over, uid); !errors.Is(err, context.Canceled) {
			t.Errorf("two at a time of uid %d: %v", uid, err)
		}
	}
	if _, err := w.begin(over, maxWork); !errors.Is(err, context.Canceled) {
		t.Errorf("more than %d at a time: %v", maxWork, err)
	}
	waiting, stop := context.WithCancel(t.Context())
	defer stop()
	ended := make(chan error)
	for range maxWorkOfUser - 1 {
		go func() {
			_, err := w.begin(waiting, 0)
			ended <- err
		}()
	}
	for deadline := time.Now().Add(30 * time.Second); w.waiting(0) < maxWorkOfUser; {
		if time.Now().After(deadline) {
			t.Fatal("they do not wait")
		}
		time.Sleep(time.Millisecond)
	}
	var refused *dbus.Error
	if _, err := w.begin(t.Context(), 0); !errors.As(err, &refused) {
		t.Errorf("no bound: %v", err)
	}
	stop()
	for range maxWorkOfUser - 1 {
		if err := <-ended; err == nil {
			t.Error("began beside another")
		}
	}
	for _, done := range all {
		done()
	}
	if len(w.users) != 0 || len(w.places) != 0 {
		t.Errorf("left over: %v", w.users)
	}
}

func (w *work) waiting(uid uint32) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.users[uid].n
}
