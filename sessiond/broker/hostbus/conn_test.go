package hostbus

import (
	"context"
	"testing"
)

// A call that cannot be put into a message takes no place from later ones.
func TestACallThatIsNotSentTakesNoPlace(t *testing.T) {
	c := &conn{places: make(chan struct{}, 1), calls: map[uint32]*call{}, dead: make(chan struct{})}
	for range 3 {
		if _, err := c.call(context.Background(), nil, systemdName, systemdPath, managerIface, "StartTransientUnit", []any{"\xff"}); err == nil {
			t.Fatal("text that is not UTF-8 went out")
		}
	}
	if len(c.places) != 0 || len(c.calls) != 0 {
		t.Errorf("%d places and %d calls are left", len(c.places), len(c.calls))
	}
}
