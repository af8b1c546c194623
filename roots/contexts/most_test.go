package contexts

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"
)

// TestNoMoreThanAUserMayHave: of many that are made at once, too, and root is not bounded
// by what others may.
func TestNoMoreThanAUserMayHave(t *testing.T) {
	dir := t.TempDir()
	s := On(dir).AtMost(3)
	var made sync.WaitGroup
	errs := make(chan error, 8)
	for i := range cap(errs) {
		made.Go(func() {
			_, err := s.Create(t.Context(), 1000, fmt.Sprintf("c%d", i), 0, Stands{}, time.Now())
			errs <- err
		})
	}
	made.Wait()
	close(errs)
	refused := 0
	for err := range errs {
		if errors.Is(err, ErrMany) {
			refused++
		} else if err != nil {
			t.Error(err)
		}
	}
	have, err := s.List(1000, false)
	if err != nil || len(have) != 3 || refused != 5 {
		t.Fatalf("%d were made and %d refused, %v", len(have), refused, err)
	}
	if err := s.Rename(have[0], "another"); err != nil {
		t.Errorf("a user who has as many as may be renames one: %v", err)
	}
	for _, owner := range []uint32{0, 1001} {
		if _, err := On(dir).Create(t.Context(), owner, "c0", 0, Stands{}, time.Now()); err != nil {
			t.Error(err)
		}
	}
}
