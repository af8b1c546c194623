package main

import (
	"path/filepath"

	"ninefold/sessiond/api"
	"ninefold/sessiond/broker/hostbus"
	"ninefold/sessiond/door"
	"ninefold/sessiond/jobs"
)

// jobsDir is where a new daemon finds the jobs of the old one.
var jobsDir = filepath.Join(filepath.Dir(door.Path), "state", "jobs")

// work returns the room for jobs; nil when there is none, which ends nothing
// else.
func (o options) work(d *parts) *jobs.Jobs {
	dir, err := d.manager().InitDir()
	if err != nil {
		d.log.Error("no jobs are done", "error", err)
		return nil
	}
	j, err := jobs.New(jobs.Options{Dir: jobsDir, Units: hostbus.New(hostbus.DefaultSocket), Programs: dir, Config: o.config, State: o.state,
		Log: d.log, Event: d.events.Publish})
	if err != nil {
		d.log.Error("no jobs are done", "error", err)
		return nil
	}
	return j
}

// jobs is nil, and not an interface of nothing, without the room for them.
func (d *parts) jobs() api.Jobs {
	if d.work == nil {
		return nil
	}
	return d.work
}
