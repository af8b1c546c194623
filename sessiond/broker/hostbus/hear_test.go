package hostbus

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"

	"ninefold/tests/needs"
)

// jobMaker is as much of systemd as makes jobs and says that they are done.
type jobMaker struct{ conn *dbus.Conn }

func (j jobMaker) StopUnit(unit, mode string) (dbus.ObjectPath, *dbus.Error) {
	job := dbus.ObjectPath("/org/freedesktop/systemd1/job/7")
	time.AfterFunc(10*time.Millisecond, func() {
		_ = j.conn.Emit(systemdPath, managerIface+".JobRemoved", uint32(7), job, unit, "done")
	})
	return job, nil
}

// TestEndsOfJobsAreHeardWhileSomebodyWaits: also of one that begins after they were
// not heard for a while.
func TestEndsOfJobsAreHeardWhileSomebodyWaits(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "bus")
	needs.Bus(t, socket)
	theirs, err := dbus.Connect("unix:path=" + socket)
	if err != nil {
		t.Fatal(err)
	}
	defer theirs.Close()
	if err := theirs.Export(jobMaker{theirs}, systemdPath, managerIface); err != nil {
		t.Fatal(err)
	}
	if _, err := theirs.RequestName(systemdName, dbus.NameFlagDoNotQueue); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	c, err := dial(ctx, socket)
	if err != nil {
		t.Fatal(err)
	}
	defer c.close(context.Canceled)
	for round := range 3 {
		job := make(chan string, 1)
		if _, err := c.call(ctx, job, systemdName, systemdPath, managerIface, "StopUnit", []any{"x.service", "replace"}); err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		if round > 0 {
			c.hearNoMore() // is too early now, and leaves it as it is
		}
		select {
		case result := <-job:
			if result != "done" {
				t.Errorf("round %d: %s", round, result)
			}
		case <-ctx.Done():
			t.Fatalf("round %d: the end of the job was not heard", round)
		}
		if round == 1 {
			continue
		}
		c.hearNoMore()
		if c.hears != nil {
			t.Errorf("round %d: ends of jobs are heard although nobody waits", round)
		}
	}
}
