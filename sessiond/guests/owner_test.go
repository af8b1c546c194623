package guests

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"ninefold/namespaces/plan"
)

func TestUsersHaveSoManyAtOnce(t *testing.T) {
	g := &Guests{dir: t.TempDir()}
	take := func(uid uint32, most int) (slot, error) { return g.For(uid, most).slot() }
	first, err := take(1000, 2)
	if err != nil {
		t.Fatal(err)
	}
	second, err := take(1000, 2)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := take(1000, 2); !errors.Is(err, ErrMany) {
		t.Errorf("a third: %v", err)
	}
	other, err := take(1001, 1)
	if err != nil {
		t.Errorf("somebody else's: %v", err)
	}
	for range 3 { // root is not bounded
		if _, err := g.slot(); err != nil {
			t.Error(err)
		}
	}
	first.give()
	again, err := take(1000, 2)
	if err != nil {
		t.Errorf("after one was given up: %v", err)
	}
	second.lock.Close() // as the kernel does when its keeper is killed
	if err := g.forsaken(); err != nil {
		t.Error(err)
	}
	if left, err := os.ReadDir(g.places()); err != nil || len(left) != 2 {
		t.Errorf("places of who was killed: %v %v", left, err)
	}
	again.give()
	other.give()
	if left, _ := filepath.Glob(g.places() + "/*"); len(left) != 0 {
		t.Errorf("left are %v", left)
	}
}

// TestUsersLeaveRoomForOthers: where users have had as many guests as there can be until the
// machine is searched, they have no more, and who logs in comes in.
func TestUsersLeaveRoomForOthers(t *testing.T) {
	g := &Guests{dir: t.TempDir(), locks: t.TempDir(), users: t.TempDir()}
	if err := os.MkdirAll(g.taken(), 0o700); err != nil {
		t.Fatal(err)
	}
	for uid := uint32(firstShared); uid <= LastID; uid++ {
		if err := os.WriteFile(g.record(uid), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := g.For(1000, 1).Begin(t.Context(), "guest"); !errors.Is(err, ErrFull) {
		t.Errorf("one more of a user's: %v", err)
	}
	if _, err := g.begin(t.Context(), Report{State: Waiting}, "/", noShell); !errors.Is(err, ErrFull) {
		t.Errorf("one more that is prepared: %v", err)
	}
	logsIn, err := g.begin(t.Context(), Report{Service: "login"}, LoginHome, noShell)
	if err != nil {
		t.Fatal(err)
	}
	if err := logsIn.End(); err != nil {
		t.Error(err)
	}
}

// TestIDsDoNotComeBackSoon: an id that was given up is not at once somebody else's, where
// part of the ids alone is to be had, too.
func TestIDsDoNotComeBackSoon(t *testing.T) {
	dir, times := t.TempDir(), map[uint32]int{}
	for range 64 {
		id, err := take(dir, firstShared, func(uint32) bool { return true })
		if err != nil {
			t.Fatal(err)
		}
		id.give()
		if times[id.uid]++; id.uid < firstShared || times[id.uid] > 4 {
			t.Fatalf("%d was given %d times of 64", id.uid, times[id.uid])
		}
	}
}

func TestWhatUsersWriteRaisesNoBounds(t *testing.T) {
	spec := plan.Spec{Upper: &plan.Upper{Size: plan.GuestSize * 2}, Limits: []plan.Limit{
		{Name: "memory", Value: plan.Unlimited}, {Name: "tasks", Value: 1 << 20}, {Name: "nproc", Value: plan.GuestTasks + 1}, {Name: "core", Value: 1},
		{Name: "cpu_weight", Value: 100}, {Name: "io_weight", Value: 21}, {Name: "swap", Value: 1},
		{Name: "nofile", Value: 100}, {Name: "cpu_quota", Value: 50},
	}}
	mine := spec.Upper
	Curb(&spec)
	if len(spec.Limits) != 2 || spec.Limits[0].Name != "nofile" || spec.Limits[1].Name != "cpu_quota" || spec.Upper.Size != plan.GuestSize || mine.Size == plan.GuestSize {
		t.Errorf("left is %+v %+v", spec.Limits, spec.Upper)
	}
	low := plan.Spec{Upper: &plan.Upper{Size: 1 << 20}, Limits: []plan.Limit{{Name: "memory", Value: 1 << 20}, {Name: "tasks", Value: 5}, {Name: "cpu_weight", Value: 1}}}
	Curb(&low)
	if len(low.Limits) != 3 || low.Upper.Size != 1<<20 {
		t.Errorf("left is %+v %+v", low.Limits, low.Upper)
	}
}
