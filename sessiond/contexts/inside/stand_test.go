package inside

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"ninefold/roots/contexts"
)

// TestManyStandOnOne: those that begin at the same time all get it, and nobody does
// while somebody uses it.
func TestManyStandOnOne(t *testing.T) {
	store := contexts.On(t.TempDir())
	r, err := store.Create(t.Context(), 0, "foo", 0, contexts.Stands{}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	roots := Of(store, nil)
	var wg sync.WaitGroup
	var mu sync.Mutex
	var ends []func()
	for range 50 {
		wg.Go(func() {
			_, held, err := roots.Stand(t.Context(), r)
			if err != nil || len(held) == 0 {
				t.Error(held, err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			ends = append(ends, func() {
				for _, f := range held {
					f.Close()
				}
			})
		})
	}
	wg.Wait()
	if err := store.Unstood(r, "1"); !errors.Is(err, contexts.ErrStood) {
		t.Errorf("while 50 stand on it: %v", err)
	}
	for _, end := range ends {
		end()
	}
	if err := store.Unstood(r, ""); err != nil {
		t.Error(err)
	}
	use, err := store.Use(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	defer use.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, _, err := roots.Stand(ctx, r); !errors.Is(err, ErrOpen) {
		t.Errorf("while somebody uses it: %v", err)
	}
}
