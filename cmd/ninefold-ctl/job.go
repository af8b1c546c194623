package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os/user"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"ninefold/cmd/internal/exit"
	"ninefold/cmd/internal/show"
	"ninefold/internal/progress"
	"ninefold/sessiond/api"
	"ninefold/sessiond/bus/remote"
)

func (a *app) job() *cobra.Command {
	c := &cobra.Command{
		Use:   "job",
		Short: "Look at work that goes on in the background, and end it",
		Long: `job is about what was started by --background, or by another program over D-Bus.
It goes on when who asked for it has gone. What is over is remembered for an hour.`,
	}
	c.AddCommand(a.jobList(), a.jobShow(), a.jobFollow(), a.jobCancel())
	return c
}

func (a *app) jobList() *cobra.Command {
	return a.jsonFlag(&cobra.Command{
		Use:   "list",
		Short: "List the jobs, the oldest first",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return withDaemon(c.Context(), func(d *remote.Daemon) error {
				jobs, err := d.Jobs(c.Context())
				if err != nil {
					return err
				}
				var rows [][]string
				for _, x := range jobs {
					rows = append(rows, []string{x.ID, x.Kind, x.Subject, name(x.UID), string(x.State), far(x), moment(x.Created)})
				}
				return a.list(jobs, []string{"JOB", "KIND", "SUBJECT", "USER", "STATE", "STAGE", "SINCE"}, rows)
			})
		},
	})
}

// name is that of a user, or the number of one who is gone.
func name(uid uint32) string {
	id := strconv.FormatUint(uint64(uid), 10)
	if u, err := user.LookupId(id); err == nil {
		return u.Username
	}
	return id
}

// far says how far a job is.
func far(x api.Job) string {
	if x.State != api.JobRunning || x.Stage == "" {
		return "-"
	}
	if x.Total <= 0 {
		return x.Stage
	}
	return fmt.Sprintf("%s %d%%", x.Stage, 100*x.Done/x.Total)
}

// told is a job with its result, as show prints it as JSON.
type told struct {
	api.Job
	Message string          `json:"message,omitempty"`
	Result  json.RawMessage `json:"result,omitempty"`
}

// tellJob finds out what came of a job. Not everybody may know.
func tellJob(c *cobra.Command, d *remote.Daemon, x api.Job) (told, error) {
	t := told{Job: x}
	r, err := d.JobResult(c.Context(), x.ID)
	if errors.Is(err, remote.ErrDenied) {
		return t, nil
	}
	t.Message = r.Message
	if json.Valid([]byte(r.Output)) {
		t.Result = json.RawMessage(r.Output)
	}
	return t, err
}

func (a *app) jobShow() *cobra.Command {
	return a.jsonFlag(&cobra.Command{
		Use:               "show JOB",
		Short:             "Print one job, and with --json what came of it",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: completeJob,
		RunE: func(c *cobra.Command, args []string) error {
			return withDaemon(c.Context(), func(d *remote.Daemon) error {
				x, err := d.Job(c.Context(), args[0])
				if err != nil {
					return err
				}
				t, err := tellJob(c, d, x)
				if err != nil || a.json {
					return errors.Join(err, show.JSON(a.Out, t))
				}
				say := func(name, value string) {
					if value != "" {
						fmt.Fprintf(a.Out, "%-8s %s\n", name, show.Plain(value))
					}
				}
				at := func(name string, when time.Time) {
					if !when.IsZero() {
						say(name, moment(when))
					}
				}
				say("job", x.ID)
				say("kind", x.Kind)
				say("subject", x.Subject)
				say("user", name(x.UID))
				say("state", string(x.State))
				if f := far(x); f != "-" {
					say("stage", f)
				}
				if x.State.Over() && x.ExitCode >= 0 {
					say("status", strconv.Itoa(x.ExitCode))
				}
				at("asked", x.Created)
				at("started", x.Started)
				at("ended", x.Ended)
				say("message", t.Message)
				return nil
			})
		},
	})
}

func (a *app) jobFollow() *cobra.Command {
	return a.jsonFlag(&cobra.Command{
		Use:   "follow JOB",
		Short: "Show how far a job is until it ends, and exit as its command did",
		Long: `follow shows how far a job is. Ctrl-C ends the looking, not the job. The exit
status is that of the job's command, and 130 when the job was cancelled.`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: completeJob,
		RunE: func(c *cobra.Command, args []string) error {
			return withDaemon(c.Context(), func(d *remote.Daemon) error { return a.follow(c, d, args[0]) })
		},
	})
}

func (a *app) follow(c *cobra.Command, d *remote.Daemon, id string) error {
	p := show.NewProgress(a.Err, a.json)
	defer p.Close()
	stage := ""
	x, err := d.FollowJob(c.Context(), id, func(x api.Job) {
		if x.State == api.JobWaiting {
			x.Stage, x.Item = "wait", "for other jobs"
		}
		if stage != "" && stage != x.Stage {
			p.Update(progress.Update{Stage: stage, End: true})
		}
		if stage = x.Stage; stage != "" {
			p.Update(progress.Update{Stage: x.Stage, Item: x.Item, Done: x.Done, Total: x.Total, Unit: x.Unit})
		}
	})
	p.Close()
	if err != nil {
		return err
	}
	t, err := tellJob(c, d, x)
	if err != nil {
		return err
	}
	if a.json {
		if err := show.JSON(a.Out, t); err != nil {
			return err
		}
	}
	switch {
	case x.State == api.JobCancelled:
		return &exit.Error{Code: exit.Signal + 2, Err: fmt.Errorf("job %s was cancelled", id)}
	case x.State == api.JobFailed:
		code := exit.Failed
		if x.ExitCode > 0 {
			code = exit.Code(x.ExitCode)
		}
		why := ""
		if t.Message != "" {
			why = ": " + show.Plain(t.Message)
		}
		return &exit.Error{Code: code, Err: fmt.Errorf("job %s failed%s", id, why)}
	}
	if !a.json {
		_, err = fmt.Fprintf(a.Out, "job %s is done\n", id)
	}
	return err
}

func (a *app) jobCancel() *cobra.Command {
	return &cobra.Command{
		Use:               "cancel JOB...",
		Short:             "End jobs; what they had done stays whole",
		Args:              cobra.MinimumNArgs(1),
		ValidArgsFunction: completeJob,
		RunE: func(c *cobra.Command, args []string) error {
			return withDaemon(c.Context(), func(d *remote.Daemon) error {
				for _, id := range args {
					if err := d.CancelJob(c.Context(), id); err != nil {
						return err
					}
				}
				return nil
			})
		},
	}
}

// completeJob completes the numbers of jobs, and says what they are.
func completeJob(c *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	var ids []string
	_ = withDaemon(c.Context(), func(d *remote.Daemon) error {
		jobs, err := d.Jobs(c.Context())
		for _, x := range jobs {
			ids = append(ids, fmt.Sprintf("%s\t%s %s, %s", x.ID, x.Kind, plain(x.Subject), x.State))
		}
		return err
	})
	return ids, cobra.ShellCompDirectiveNoFileComp
}
