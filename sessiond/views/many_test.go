package views

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"ninefold/sessiond/identity"
	"ninefold/sessiond/journal"
	"ninefold/sessiond/profile"
)

// What one user can name is without end, and what it costs is everybody's.
func TestViewsOfOneUserAreBounded(t *testing.T) {
	vs := &Views{views: map[string]*View{}, making: map[key]*flight{}}
	for i := range maxViews {
		id := fmt.Sprint(i)
		vs.views[id] = &View{vs: vs, rec: journal.Record{ID: id, UID: 1000, Profile: "~p" + id}}
	}
	_, err := vs.Acquire(context.Background(), identity.User{Name: "ann", UID: 1000}, &profile.Profile{Name: "~more"})
	if err == nil || !strings.Contains(err.Error(), "no more are made") {
		t.Errorf("one more view was made: %v", err)
	}
	if n := vs.viewsOf(1001); n != 0 || len(vs.making) != 0 {
		t.Errorf("another user has %d views, %d are being made", n, len(vs.making))
	}
}
