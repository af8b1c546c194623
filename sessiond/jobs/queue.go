package jobs

import (
	"context"
	"slices"
	"time"

	"ninefold/sessiond/api"
)

// Run starts what waits and follows what runs, of earlier daemons too, until
// ctx ends. What runs then goes on.
func (j *Jobs) Run(ctx context.Context) {
	defer j.wg.Wait()
	j.mu.Lock()
	for _, x := range j.jobs {
		if x.Job.State == api.JobRunning {
			j.wg.Go(func() { j.follow(ctx, x) })
		}
	}
	j.mu.Unlock()
	j.wg.Go(func() { j.leftOver(ctx) })
	t := time.NewTicker(time.Minute)
	defer t.Stop()
	for {
		j.forget(time.Now())
		j.next(ctx)
		select {
		case <-ctx.Done():
			return
		case <-j.woken:
		case <-t.C:
		}
	}
}

// next starts the jobs that have waited longest, as many as may run.
func (j *Jobs) next(ctx context.Context) {
	j.mu.Lock()
	defer j.mu.Unlock()
	running := j.count(api.JobRunning)
	for _, x := range j.jobs {
		if running >= maxRunning || ctx.Err() != nil {
			return
		}
		if x.Job.State != api.JobWaiting {
			continue
		}
		next := x.Record
		next.Job.State, next.Job.Started = api.JobRunning, time.Now().UTC()
		// Before the unit: a daemon that is killed in between finds that there is
		// none, and a unit without a record would be nobody's.
		if err := j.write(&next); err != nil {
			j.Log.Error("a job cannot be started", "job", x.id, "error", err)
			return
		}
		x.Record = next
		running++
		j.Log.Info("a job begins", "job", x.id, "kind", x.Job.Kind, "subject", x.Job.Subject, "uid", x.Job.UID)
		j.tell(api.JobChanged, x)
		j.wg.Go(func() {
			if err := j.start(ctx, next); err != nil {
				j.end(ctx, x, ended{state: api.JobFailed, code: -1, result: api.JobResult{Message: err.Error()}})
				return
			}
			j.follow(ctx, x)
		})
	}
}

// forget drops what has been over for long, and what is too much of it. The
// record of the last job stays until there is a later one, for its number.
func (j *Jobs) forget(now time.Time) {
	j.mu.Lock()
	defer j.mu.Unlock()
	over := 0
	for _, x := range j.jobs {
		if x.Job.State.Over() {
			over++
		}
	}
	j.jobs = slices.DeleteFunc(j.jobs, func(x *job) bool {
		n, _ := number(x.id)
		if !x.Job.State.Over() || n == j.last || over <= maxOver && now.Sub(x.Job.Ended) < overTime {
			return false
		}
		over--
		j.remove(x.id)
		j.tell(api.JobRemoved, x)
		return true
	})
}

// leftOver has systemd forget the units of jobs that are over, and sees to it
// that no number of a unit is used again.
func (j *Jobs) leftOver(ctx context.Context) {
	units, err := j.Units.List(ctx, unitPrefix+"*"+unitSuffix)
	if err != nil {
		if ctx.Err() == nil {
			j.Log.Warn("jobs of an earlier daemon are not looked for", "error", err)
		}
		return
	}
	for _, unit := range units {
		id, ok := idOf(unit)
		if !ok {
			continue
		}
		j.mu.Lock()
		n, _ := number(id)
		x, err := j.find(id)
		j.last = max(j.last, n)
		gone := err == nil && x.Job.State.Over()
		j.mu.Unlock()
		switch {
		case gone:
			j.release(ctx, unit)
		case err != nil:
			j.Log.Warn("a job without a record goes on", "unit", unit)
		}
	}
}
