// Package jobs does long work on images for who is not there to wait for it:
// the command that a person would give, as a unit of its own, with a record
// that a later daemon goes on from. A job outlives its caller and the daemon.
package jobs

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"ninefold/internal/progress"
	"ninefold/sessiond/api"
	"ninefold/sessiond/broker/hostbus"
)

// The bounds of jobs.
const (
	// maxRunning is how many run at a time: they share disk and network.
	maxRunning = 2
	// maxWaiting is how many more can be asked for.
	maxWaiting = 64
	// maxOver and overTime are how many that are over are remembered, and how
	// long.
	maxOver  = 100
	overTime = time.Hour
)

// Units are what is asked of systemd; *hostbus.Bus is one.
type Units interface {
	Start(ctx context.Context, name string, properties []hostbus.Property) (*hostbus.Started, error)
	Outcome(ctx context.Context, unit string) (hostbus.Outcome, error)
	StatusText(ctx context.Context, unit string) (string, error)
	Stop(ctx context.Context, unit string) error
	Forget(unit string)
	List(ctx context.Context, pattern string) ([]string, error)
}

// Options are what jobs need.
type Options struct {
	// Dir holds the records, for root alone. It is in /run: a job ends with the
	// machine.
	Dir   string
	Units Units
	// Programs is the directory of the programs that do the work.
	Programs string
	// Config and State are handed on to them; "" is the machine's.
	Config, State string
	Log           *slog.Logger
	// Event is told of each change. It may not block.
	Event func(api.Event)
}

// Jobs implements api.Jobs.
type Jobs struct {
	Options
	mu   sync.Mutex
	jobs []*job // the oldest first
	last uint64 // the highest id
	// woken says that something can be started or forgotten.
	woken chan struct{}
	wg    sync.WaitGroup
}

var _ api.Jobs = (*Jobs)(nil)

// job is a record, and what is known of it while the daemon runs. Jobs.mu is
// over all of it.
type job struct {
	id string // of the record, which needs no lock
	Record
	now progress.Update
	// cancelled is closed when somebody wants it ended.
	cancelled chan struct{}
}

// New reads the records of earlier daemons. Nothing is started before Run.
func New(o Options) (*Jobs, error) {
	j := &Jobs{Options: o, woken: make(chan struct{}, 1)}
	records, last, err := j.read()
	if err != nil {
		return nil, err
	}
	j.last = last
	for _, r := range records {
		j.jobs = append(j.jobs, newJob(*r))
	}
	slices.SortFunc(j.jobs, func(a, b *job) int {
		x, _ := number(a.id)
		y, _ := number(b.id)
		return cmp.Compare(x, y)
	})
	return j, nil
}

func newJob(r Record) *job {
	x := &job{id: r.Job.ID, Record: r, cancelled: make(chan struct{})}
	if r.Cancelled {
		close(x.cancelled)
	}
	return x
}

// describe is the job as others see it.
func (x *job) describe() api.Job {
	d := x.Job
	if d.State == api.JobRunning {
		d.Stage, d.Item, d.Done, d.Total, d.Unit = x.now.Stage, x.now.Item, x.now.Done, x.now.Total, x.now.Unit
	}
	return d
}

// Jobs lists them.
func (j *Jobs) Jobs(context.Context) ([]api.Job, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	out := []api.Job{}
	for _, x := range j.jobs {
		out = append(out, x.describe())
	}
	return out, nil
}

// Job returns one, or api.ErrNotFound.
func (j *Jobs) Job(_ context.Context, id string) (api.Job, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	x, err := j.find(id)
	if err != nil {
		return api.Job{}, err
	}
	return x.describe(), nil
}

// JobResult returns what came of one.
func (j *Jobs) JobResult(_ context.Context, id string) (api.JobResult, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	x, err := j.find(id)
	if err != nil {
		return api.JobResult{}, err
	}
	return x.Result, nil
}

func (j *Jobs) find(id string) (*job, error) {
	for _, x := range j.jobs {
		if x.id == id {
			return x, nil
		}
	}
	return nil, fmt.Errorf("job %.20q: %w", id, api.ErrNotFound)
}

// StartJob puts a job in the queue.
func (j *Jobs) StartJob(_ context.Context, n api.NewJob) (api.Job, error) {
	if err := j.CheckJob(n); err != nil {
		return api.Job{}, err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.count(api.JobWaiting) >= maxWaiting {
		return api.Job{}, fmt.Errorf("%w: %d jobs wait", api.ErrBusy, maxWaiting)
	}
	x := newJob(Record{Names: n.Names, Options: n.Options, Job: api.Job{ID: strconv.FormatUint(j.last+1, 10), Kind: n.Kind,
		Subject: strings.Join(n.Names, " "), UID: n.UID, State: api.JobWaiting, ExitCode: -1, Created: time.Now().UTC()}})
	if err := j.write(&x.Record); err != nil {
		return api.Job{}, err
	}
	j.last++
	j.jobs = append(j.jobs, x)
	j.tell(api.JobNew, x)
	j.wake()
	return x.describe(), nil
}

// CancelJob ends a job: one that waits at once, one that runs as soon as its
// command has undone what it was at.
func (j *Jobs) CancelJob(_ context.Context, id string) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	x, err := j.find(id)
	if err != nil || x.Job.State.Over() || x.Cancelled {
		return err
	}
	next := x.Record
	next.Cancelled = true
	if next.Job.State == api.JobWaiting {
		next.Job.State, next.Job.Ended = api.JobCancelled, time.Now().UTC()
	}
	if err := j.write(&next); err != nil {
		return err
	}
	x.Record = next
	close(x.cancelled)
	j.tell(api.JobChanged, x)
	j.wake()
	return nil
}

func (j *Jobs) count(s api.JobState) (n int) {
	for _, x := range j.jobs {
		if x.Job.State == s {
			n++
		}
	}
	return n
}

func (j *Jobs) tell(kind api.EventKind, x *job) {
	j.Event(api.Event{Kind: kind, ID: x.id, UID: x.Job.UID})
}

func (j *Jobs) wake() {
	select {
	case j.woken <- struct{}{}:
	default:
	}
}
