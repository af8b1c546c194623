package api

import (
	"context"
	"time"
)

// The kinds of job, by the word of sessionctl image that does the same.
const (
	JobBuild   = "build"
	JobPull    = "pull"
	JobVerify  = "verify"
	JobRemove  = "remove"
	JobCollect = "gc"
)

// JobState says how far a job is.
type JobState string

// The states of a job. The last three are for good.
const (
	JobWaiting   JobState = "waiting"
	JobRunning   JobState = "running"
	JobDone      JobState = "done"
	JobFailed    JobState = "failed"
	JobCancelled JobState = "cancelled"
)

// Over reports whether a job of this state is not going to change any more.
func (s JobState) Over() bool { return s == JobDone || s == JobFailed || s == JobCancelled }

// NewJob is work that is asked for.
type NewJob struct {
	Kind string
	// Names are recipes, references or images, as the kind has it.
	Names []string
	// Options are flags of the command without their dashes.
	Options []string
	// UID is who asked.
	UID uint32
}

// Job is long work on images, done by a process of its own: it outlives who
// asked for it, and the daemon.
type Job struct {
	// ID is a decimal number, never used twice while the machine is up.
	ID   string `json:"id"`
	Kind string `json:"kind"`
	// Subject are its names, a blank between two; "" is everything.
	Subject string   `json:"subject"`
	UID     uint32   `json:"uid"`
	State   JobState `json:"state"`
	// Stage, Item, Done, Total and Unit say what it does right now, as
	// progress.Update does. Total 0 is unknown.
	Stage string `json:"stage,omitempty"`
	Item  string `json:"item,omitempty"`
	Done  int64  `json:"done,omitempty"`
	Total int64  `json:"total,omitempty"`
	Unit  string `json:"unit,omitempty"`
	// ExitCode is the command's, -1 while there is none.
	ExitCode int `json:"exit_code"`
	// Created is when it was asked for; Started and Ended are zero before.
	Created time.Time `json:"created"`
	Started time.Time `json:"started,omitzero"`
	Ended   time.Time `json:"ended,omitzero"`
}

// JobResult is what came of a job. It may name files and servers that are not
// everybody's to know.
type JobResult struct {
	// Message says why it failed; "" when it did not.
	Message string `json:"message,omitempty"`
	// Output is what the command prints with --json; "" when that is nothing,
	// or too much to keep.
	Output string `json:"output,omitempty"`
}

// Jobs does long work. Who may ask for what is the surface's to decide.
type Jobs interface {
	// Jobs are sorted by age, the oldest first. Those that are over are
	// remembered for a while.
	Jobs(ctx context.Context) ([]Job, error)
	Job(ctx context.Context, id string) (Job, error)
	JobResult(ctx context.Context, id string) (JobResult, error)
	// CheckJob fails with ErrInvalid for what can be no job.
	CheckJob(n NewJob) error
	// StartJob puts work that CheckJob lets through in the queue; it fails with
	// ErrBusy when that is full.
	StartJob(ctx context.Context, n NewJob) (Job, error)
	// CancelJob ends a job, and returns before it has ended. One that is over
	// stays what it is.
	CancelJob(ctx context.Context, id string) error
}
