package bus

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/godbus/dbus/v5"

	"ninefold/sessiond/api"
)

// jobRow is a row of ListJobs.
type jobRow struct {
	ID, Kind, Subject string
	UID               uint32
	State             string
	Path              dbus.ObjectPath
}

var jobContract contract

func init() {
	jobContract = contract{name: JobInterface,
		methods: []method{
			{name: "Cancel", run: func(ctx context.Context, c *call) ([]any, error) { return nil, c.cancelJob(ctx, c.object.job) }},
			{name: "GetResult", out: []argument{{"message", "s"}, {"output", "s"}}, run: jobResult},
		},
		properties: []property{
			{"Id", "s", "const"}, {"Kind", "s", "const"}, {"Subject", "s", "const"}, {"User", "u", "const"},
			{"State", "s", "true"}, {"Stage", "s", "true"}, {"Item", "s", "true"}, {"Done", "t", "true"}, {"Total", "t", "true"}, {"Unit", "s", "true"},
			{"ExitCode", "i", "true"}, {"Timestamp", "t", "const"}, {"StartTimestamp", "t", "true"}, {"EndTimestamp", "t", "true"},
		},
	}
}

// JobPath is where the job of a number is.
func JobPath(id string) dbus.ObjectPath { return JobsPath + "/" + dbus.ObjectPath(id) }

func jobObject(x api.Job) *object {
	return &object{path: JobPath(x.ID), job: x, contracts: []*contract{&jobContract},
		values: map[string]map[string]dbus.Variant{JobInterface: values(map[string]any{
			"Id": x.ID, "Kind": x.Kind, "Subject": x.Subject, "User": x.UID, "State": string(x.State), "Stage": x.Stage, "Item": x.Item,
			"Done": uint64(max(x.Done, 0)), "Total": uint64(max(x.Total, 0)), "Unit": x.Unit, "ExitCode": int32(x.ExitCode),
			"Timestamp": microseconds(x.Created), "StartTimestamp": microseconds(x.Started), "EndTimestamp": microseconds(x.Ended),
		})}}
}

func (c *connected) allJobs(ctx context.Context) ([]api.Job, error) {
	if c.Jobs == nil {
		return nil, nil
	}
	return c.Jobs.Jobs(ctx)
}

func (c *call) jobs() (api.Jobs, error) {
	if c.bus.Jobs == nil {
		return nil, &dbus.Error{Name: "org.freedesktop.DBus.Error.NotSupported", Body: []any{"jobs need systemd"}}
	}
	return c.bus.Jobs, nil
}

func listJobs(ctx context.Context, c *call) ([]any, error) {
	all, err := c.bus.allJobs(ctx)
	rows := []jobRow{}
	for _, x := range all {
		rows = append(rows, jobRow{x.ID, x.Kind, text(x.Subject), x.UID, string(x.State), JobPath(x.ID)})
	}
	return []any{rows}, err
}

func getJob(ctx context.Context, c *call) ([]any, error) {
	k, err := c.jobs()
	if err != nil {
		return nil, err
	}
	x, err := k.Job(ctx, c.text(0))
	return []any{JobPath(x.ID)}, err
}

// startJob returns the method that starts a job of a kind, whose names and
// options are what arguments it has.
func startJob(kind, action string) func(context.Context, *call) ([]any, error) {
	return func(ctx context.Context, c *call) ([]any, error) {
		k, err := c.jobs()
		if err != nil {
			return nil, err
		}
		n := api.NewJob{Kind: kind}
		size := 0
		for _, a := range c.args {
			switch a := a.(type) {
			case string:
				n.Names = []string{a}
			case []string:
				n.Names = a
			case map[string]dbus.Variant:
				if n.Options, err = options(a); err != nil {
					return nil, err
				}
			}
		}
		for _, name := range n.Names {
			size += len(name) + 1
		}
		if size > maxPath {
			return nil, invalid("names of more than %d bytes", maxPath)
		}
		// Before a person reads it.
		if err := k.CheckJob(n); err != nil {
			return nil, err
		}
		action := action
		if slices.Contains(n.Options, "discard") {
			action = actionRemove
		}
		// The images of the machine are root's, whoever asks.
		what := map[string]string{"subject": strings.Join(n.Names, " "), "options": strings.Join(n.Options, " ")}
		if err := c.permit(ctx, 0, action, what); err != nil {
			return nil, err
		}
		who, err := c.bus.identify(ctx, c.sender)
		if err != nil {
			return nil, err
		}
		n.UID = who.uid
		x, err := k.StartJob(ctx, n)
		return []any{JobPath(x.ID)}, err
	}
}

// options are the names of those that are true.
func options(in map[string]dbus.Variant) (out []string, err error) {
	for _, name := range slices.Sorted(maps.Keys(in)) {
		on, ok := in[name].Value().(bool)
		if !ok || len(name) > maxName {
			return nil, invalid("option %.40q is not a boolean", name)
		}
		if on {
			out = append(out, name)
		}
	}
	return out, nil
}

func cancelJob(ctx context.Context, c *call) ([]any, error) {
	k, err := c.jobs()
	if err != nil {
		return nil, err
	}
	x, err := k.Job(ctx, c.text(0))
	if err != nil {
		return nil, err
	}
	return nil, c.cancelJob(ctx, x)
}

func (c *call) cancelJob(ctx context.Context, x api.Job) error {
	if err := c.permit(ctx, x.UID, actionCancel, map[string]string{"job": x.ID, "kind": x.Kind, "subject": x.Subject}); err != nil {
		return err
	}
	// An id of a job is never used twice.
	return c.bus.Jobs.CancelJob(ctx, x.ID)
}

// jobResult hands out what a command said: it names files and servers.
func jobResult(ctx context.Context, c *call) ([]any, error) {
	x := c.object.job
	if err := c.own(ctx, x.UID, "the result of a job"); err != nil {
		return nil, err
	}
	r, err := c.bus.Jobs.JobResult(ctx, x.ID)
	return []any{text(r.Message), text(r.Output)}, err
}
