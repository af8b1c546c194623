package bus

import (
	"context"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"

	"ninefold/sessiond/api"
)

func (s *service) Jobs(context.Context) ([]api.Job, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.jobs), nil
}

func (s *service) Job(_ context.Context, id string) (api.Job, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, x := range s.jobs {
		if x.ID == id {
			return x, nil
		}
	}
	return api.Job{}, fmt.Errorf("job %s: %w", id, api.ErrNotFound)
}

func (s *service) JobResult(context.Context, string) (api.JobResult, error) {
	return api.JobResult{Message: "it is \xff bad"}, nil
}

func (s *service) CheckJob(n api.NewJob) error {
	if slices.Contains(n.Names, "/wrong") {
		return fmt.Errorf("%w: /wrong", api.ErrInvalid)
	}
	return nil
}

func (s *service) StartJob(_ context.Context, n api.NewJob) (x api.Job, err error) {
	if slices.Contains(n.Names, "full") {
		return x, api.ErrBusy
	}
	s.change(func() {
		x = api.Job{ID: fmt.Sprint(len(s.jobs) + 3), Kind: n.Kind, Subject: strings.Join(append(n.Names, n.Options...), " "), UID: n.UID, State: api.JobWaiting, Created: time.Unix(1700000000, 0)}
		s.jobs = append(s.jobs, x)
	})
	return x, nil
}

func (s *service) CancelJob(_ context.Context, id string) error {
	s.change(func() { s.ended = append(s.ended, "job "+id) })
	return nil
}

// asks asks for a job as another user, by busctl, since dbus-send knows no
// dictionaries of variants. It returns what that printed.
func (w *world) asks(uid uint32, method, signature string, args ...string) string {
	w.t.Helper()
	c := exec.Command("busctl", append([]string{"--address=" + w.address, "call", Name, string(Path), ManagerInterface, method, signature}, args...)...)
	c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	c.Dir = "/"
	out, err := c.CombinedOutput()
	if err != nil && len(out) == 0 {
		w.t.Fatal(err)
	}
	return string(out)
}

func TestJobsAreRootsUnlessPolkitSaysSo(t *testing.T) {
	w := newWorld(t)
	build := func(uid uint32) string {
		return w.asks(uid, "BuildImages", "asa{sv}", "2", "a", "b", "0")
	}
	var path dbus.ObjectPath
	yes := dbus.MakeVariant(true)
	options := map[string]dbus.Variant{"relock": yes, "check": dbus.MakeVariant(false), "offline": yes}
	if err := w.call(Path, ManagerInterface+".BuildImages", []string{"a", "b"}, options).Store(&path); err != nil || path != JobPath("4") {
		t.Fatalf("root: %s %v", path, err)
	}
	if got := w.service.jobs[1]; got.Subject != "a b offline relock" || got.UID != 0 || got.Kind != api.JobBuild {
		t.Errorf("root's job is %+v", got)
	}
	a := w.authority()
	for _, wrong := range []map[string]dbus.Variant{{"relock": dbus.MakeVariant("yes")}, {strings.Repeat("x", 300): yes}} {
		if c := w.call(Path, ManagerInterface+".BuildImages", []string{"a"}, wrong); errorName(c) != "org.freedesktop.DBus.Error.InvalidArgs" {
			t.Errorf("options %v: %v", wrong, c.Err)
		}
	}
	if c := w.call(Path, ManagerInterface+".BuildImages", []string{strings.Repeat("x", maxPath)}, options); errorName(c) != "org.freedesktop.DBus.Error.InvalidArgs" {
		t.Errorf("long names: %v", c.Err)
	}
	if c := w.call(Path, ManagerInterface+".PullImage", "full", map[string]dbus.Variant{}); errorName(c) != Name+".Error.Busy" {
		t.Errorf("a full queue: %v", c.Err)
	}
	if got := w.asks(other, "PullImage", "sa{sv}", "/wrong", "0"); !contains(got, "not a valid request") || len(a.asked) > 0 {
		t.Errorf("what can be no job, and polkit was asked %v: %s", a.asked, got)
	}
	if got := build(other); !contains(got, "Access denied") || !strings.Contains(a.asked[len(a.asked)-1], actionBuild) {
		t.Errorf("without permission: %s", got)
	}
	a.set(answer{Authorized: true}, nil)
	if got := build(other); !contains(got, "/org/ninefold/job/5") || w.service.jobs[2].UID != other {
		t.Errorf("with it: %s", got)
	}
	for _, c := range [][]string{{actionPull, "PullImage", "sa{sv}", "a", "0"}, {actionVerify, "VerifyImages", "asa{sv}", "1", "a", "0"},
		{actionRemove, "VerifyImages", "asa{sv}", "1", "a", "1", "discard", "b", "true"}, {actionRemove, "RemoveImages", "asa{sv}", "1", "a", "0"},
		{actionRemove, "CollectGarbage", "a{sv}", "0"}} {
		if got := w.asks(other, c[1], c[2], c[3:]...); !contains(got, "/org/ninefold/job/") || !strings.Contains(a.asked[len(a.asked)-1], " "+c[0]+" ") {
			t.Errorf("%v, and polkit is asked %q: %s", c, a.asked[len(a.asked)-1], got)
		}
	}
}

// A job belongs to who asked for it, and everybody sees that it is there.
func TestWhoseJob(t *testing.T) {
	w := newWorld(t)
	path := JobPath("3")
	if got := w.as(other, path, propertiesInterface+".GetAll", "string:"+JobInterface); !contains(got, "steve/gaming", "running", "download") {
		t.Errorf("another looks: %s", got)
	}
	for uid, may := range map[uint32]bool{owner: true, other: false, 0: true} {
		for _, m := range []string{".GetResult", ".Cancel"} {
			if got := w.as(uid, path, JobInterface+m); contains(got, accessDenied) == may {
				t.Errorf("%s of uid %d: %s", m, uid, got)
			}
		}
	}
	if got := w.as(owner, Path, ManagerInterface+".CancelJob", "string:3"); contains(got, "Error") {
		t.Errorf("its owner: %s", got)
	}
	for _, id := range []string{"4", "03", "", "x/y"} {
		if c := w.call(Path, ManagerInterface+".CancelJob", id); errorName(c) != Name+".Error.NotFound" {
			t.Errorf("job %q: %v", id, c.Err)
		}
	}
	if got := w.service.did(); !slices.Equal(got, []string{"job 3", "job 3", "job 3"}) {
		t.Errorf("cancelled: %v", got)
	}
}

func TestJobsTellHowFarTheyAre(t *testing.T) {
	w := newWorld(t)
	signals := make(chan *dbus.Signal, 64)
	w.conn.Signal(signals)
	if err := w.conn.AddMatchSignal(dbus.WithMatchSender(Name)); err != nil {
		t.Fatal(err)
	}
	next := func(name string) *dbus.Signal {
		t.Helper()
		for end := time.After(30 * time.Second); ; {
			select {
			case s := <-signals:
				if s.Name == name {
					return s
				}
			case <-end:
				t.Fatalf("waited in vain for %s", name)
			}
		}
	}
	w.service.of = api.JobChanged
	w.service.change(func() { w.service.jobs[0].Done = 7 })
	s := next(propertiesInterface + ".PropertiesChanged")
	if changed, _ := s.Body[1].(map[string]dbus.Variant); s.Path != JobPath("3") || s.Body[0] != JobInterface || len(changed) != 1 || changed["Done"].Value() != uint64(7) {
		t.Errorf("progress is told as %v", s)
	}
	w.service.change(func() { w.service.jobs = append(w.service.jobs, api.Job{ID: "4", Kind: api.JobPull}) })
	if s := next(ManagerInterface + ".JobNew"); s.Body[0] != "4" || s.Body[1] != JobPath("4") {
		t.Errorf("a new job is told as %v", s)
	}
	w.service.of = ""
	w.service.change(func() { w.service.jobs = w.service.jobs[1:] })
	if s := next(ManagerInterface + ".JobRemoved"); s.Body[0] != "3" {
		t.Errorf("a job that is gone is told as %v", s)
	}
	next(objectsInterface + ".InterfacesRemoved")
}

// A machine without systemd has no jobs, and says so.
func TestWithoutJobs(t *testing.T) {
	w := newWorld(t)
	w.server.Jobs = nil
	var rows []jobRow
	if err := w.call(Path, ManagerInterface+".ListJobs").Store(&rows); err != nil || len(rows) != 0 {
		t.Errorf("%v %v", rows, err)
	}
	if c := w.call(Path, ManagerInterface+".CollectGarbage", map[string]dbus.Variant{}); errorName(c) != "org.freedesktop.DBus.Error.NotSupported" {
		t.Errorf("got %v", c.Err)
	}
	if c := w.call(JobPath("3"), JobInterface+".Cancel"); c.Err == nil {
		t.Error("a job that there cannot be is cancelled")
	}
}
