package remote

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/godbus/dbus/v5"

	"ninefold/sessiond/api"
	"ninefold/sessiond/bus"
)

func jobOf(r record) api.Job {
	return api.Job{ID: r.text("Id"), Kind: r.text("Kind"), Subject: r.text("Subject"), UID: r.number("User"), State: api.JobState(r.text("State")),
		Stage: r.text("Stage"), Item: r.text("Item"), Done: int64(value[uint64](r, "Done")), Total: int64(value[uint64](r, "Total")), Unit: r.text("Unit"),
		ExitCode: int(value[int32](r, "ExitCode")), Created: r.time("Timestamp"), Started: r.since("StartTimestamp"), Ended: r.since("EndTimestamp")}
}

// since is a time that can be none.
func (r record) since(name string) time.Time {
	if value[uint64](r, name) == 0 {
		return time.Time{}
	}
	return r.time(name)
}

// Jobs lists the jobs, the oldest first.
func (d *Daemon) Jobs(ctx context.Context) ([]api.Job, error) {
	objects, err := d.objects(ctx)
	out := []api.Job{}
	for _, o := range objects {
		if p, ok := o[bus.JobInterface]; ok {
			out = append(out, jobOf(p))
		}
	}
	slices.SortFunc(out, func(a, b api.Job) int { return cmp.Or(cmp.Compare(len(a.ID), len(b.ID)), cmp.Compare(a.ID, b.ID)) })
	return out, err
}

// Job returns one job, or api.ErrNotFound.
func (d *Daemon) Job(ctx context.Context, id string) (api.Job, error) {
	return d.jobAt(ctx, bus.ManagerInterface+".GetJob", id)
}

// jobAt returns the job whose object a method of the manager answers; polkit may
// ask a person before.
func (d *Daemon) jobAt(ctx context.Context, method string, args ...any) (api.Job, error) {
	r, err := d.at(ctx, workTimeout, bus.JobInterface, "the job", method, args...)
	if err != nil {
		return api.Job{}, err
	}
	return jobOf(r), nil
}

// StartJob has the daemon do work.
func (d *Daemon) StartJob(ctx context.Context, n api.NewJob) (api.Job, error) {
	options := map[string]dbus.Variant{}
	for _, o := range n.Options {
		options[o] = dbus.MakeVariant(true)
	}
	names := append([]string{}, n.Names...)
	switch n.Kind {
	case api.JobBuild:
		return d.jobAt(ctx, bus.ManagerInterface+".BuildImages", names, options)
	case api.JobPull:
		if len(names) == 1 {
			return d.jobAt(ctx, bus.ManagerInterface+".PullImage", names[0], options)
		}
	case api.JobVerify:
		return d.jobAt(ctx, bus.ManagerInterface+".VerifyImages", names, options)
	case api.JobRemove:
		return d.jobAt(ctx, bus.ManagerInterface+".RemoveImages", names, options)
	case api.JobCollect:
		return d.jobAt(ctx, bus.ManagerInterface+".CollectGarbage", options)
	}
	return api.Job{}, fmt.Errorf("job of kind %q: %w", n.Kind, api.ErrInvalid)
}

// CancelJob ends a job.
func (d *Daemon) CancelJob(ctx context.Context, id string) error {
	return d.ask(ctx, workTimeout, bus.Path, bus.ManagerInterface+".CancelJob", id).Err
}

// JobResult returns what came of a job: to whom it belongs to and root.
func (d *Daemon) JobResult(ctx context.Context, id string) (r api.JobResult, err error) {
	if _, err := d.Job(ctx, id); err != nil {
		return r, err
	}
	err = d.ask(ctx, answerTimeout, bus.JobPath(id), bus.JobInterface+".GetResult").Store(&r.Message, &r.Output)
	return r, err
}

// awayTime is how long the daemon may be away while a job is followed.
const awayTime = 30 * time.Second

// FollowJob calls seen with a job as it is, and each time it is another, until
// it is over, which it returns, or ctx ends. A daemon that starts anew meanwhile
// is waited for.
func (d *Daemon) FollowJob(ctx context.Context, id string, seen func(api.Job)) (api.Job, error) {
	signals := make(chan *dbus.Signal, 64)
	d.conn.Signal(signals)
	defer d.conn.RemoveSignal(signals)
	for _, rule := range [][]dbus.MatchOption{
		{dbus.WithMatchSender(bus.Name), dbus.WithMatchObjectPath(bus.JobPath(id)), dbus.WithMatchInterface("org.freedesktop.DBus.Properties")},
		{dbus.WithMatchSender("org.freedesktop.DBus"), dbus.WithMatchMember("NameOwnerChanged"), dbus.WithMatchArg(0, bus.Name)},
	} {
		timed, cancel := context.WithTimeout(ctx, answerTimeout)
		err := d.conn.AddMatchSignalContext(timed, rule...)
		cancel()
		if err != nil {
			return api.Job{}, told(err)
		}
	}
	away := time.Now()
	for {
		x, err := d.Job(ctx, id)
		switch {
		case err == nil:
			away = time.Now()
			seen(x)
			if x.State.Over() {
				return x, nil
			}
		case !errors.Is(err, ErrNoDaemon) && !errors.Is(err, ErrNoAnswer) || time.Since(away) > awayTime:
			return x, err
		}
		// What a signal missed is seen a little later.
		select {
		case <-ctx.Done():
			return x, ctx.Err()
		case _, ok := <-signals:
			if !ok {
				return x, fmt.Errorf("%w: the bus closed the connection; the job goes on", ErrNoAnswer)
			}
			for range len(signals) {
				<-signals
			}
		case <-time.After(time.Second):
		}
	}
}
