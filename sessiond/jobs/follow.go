package jobs

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"

	"ninefold/internal/progress"
	"ninefold/sessiond/api"
	"ninefold/sessiond/broker/hostbus"
)

// glance is the time between two looks at how far a job is.
const glance = 250 * time.Millisecond

// ended is the end of a job.
type ended struct {
	state  api.JobState
	code   int
	result api.JobResult
}

// follow looks at a job that runs until it ends or ctx does.
func (j *Jobs) follow(ctx context.Context, x *job) {
	unit := unitOf(x.id)
	type outcome struct {
		hostbus.Outcome
		err error
	}
	following, done := context.WithCancel(ctx)
	defer done()
	over := make(chan outcome, 1)
	go func() {
		o, err := j.Units.Outcome(following, unit)
		over <- outcome{o, err}
	}()
	t := time.NewTicker(glance)
	defer t.Stop()
	cancelled := x.cancelled
	for {
		select {
		case o := <-over:
			if ctx.Err() == nil && !(o.err == nil && o.Active == "inactive" && j.again(x)) {
				j.end(ctx, x, j.how(x, o.Outcome, o.err))
			}
			return
		case <-t.C:
			if text, err := j.Units.StatusText(following, unit); err == nil {
				j.glanced(x, text)
			}
		case <-cancelled:
			cancelled = nil
			j.wg.Go(func() { j.stop(following, unit) })
		}
	}
}

// again puts a job back into the queue whose daemon was killed between writing
// down that it begins and having it begin: what it prints has no place yet.
func (j *Jobs) again(x *job) bool {
	if _, err := os.Lstat(j.file(x.id) + outSuffix); !errors.Is(err, fs.ErrNotExist) {
		return false
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	next := x.Record
	next.Job.State, next.Job.Started = api.JobWaiting, time.Time{}
	if x.Cancelled || j.write(&next) != nil {
		return false
	}
	x.Record = next
	j.tell(api.JobChanged, x)
	j.wake()
	return true
}

// glanced notes how far a job says it is.
func (j *Jobs) glanced(x *job, text string) {
	var u progress.Update
	if json.Unmarshal([]byte(text), &u) != nil {
		return // it has said nothing yet
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if u != x.now {
		x.now = u
		j.tell(api.JobChanged, x)
	}
}

// how words the end of a job.
func (j *Jobs) how(x *job, o hostbus.Outcome, err error) ended {
	said, output := j.printed(x.id, errSuffix, maxMessage), j.printed(x.id, outSuffix, maxOutput)
	e := ended{state: api.JobFailed, code: -1}
	if json.Valid([]byte(output)) {
		e.result.Output = output
	}
	switch {
	case err != nil:
		e.result.Message = fmt.Sprintf("systemd does not say how it ended: %v", err)
	case o.Active == "active":
		e.state, e.code = api.JobDone, 0
	case o.Active != "failed":
		e.result.Message = "its unit is gone, and nobody knows how it ended"
	case o.Result == "oom-kill":
		e.result.Message = "the machine ran out of memory, and the kernel ended it"
	case o.End.Signal != 0:
		e.code = 128 + o.End.Signal
		e.result.Message = fmt.Sprintf("it was ended by signal %d", o.End.Signal)
	default:
		e.code = o.End.Code
		e.result.Message = said
		if said == "" {
			e.result.Message = fmt.Sprintf("it ended with status %d (%s)", o.End.Code, o.Result)
		}
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if x.Cancelled && e.state == api.JobFailed {
		e.state, e.result.Message = api.JobCancelled, ""
	}
	return e
}

// printed is the end of what a job's command wrote, without the name in front
// of its lines.
func (j *Jobs) printed(id, suffix string, most int64) string {
	f, err := os.Open(j.file(id) + suffix)
	if err != nil {
		return ""
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return ""
	}
	text, err := io.ReadAll(io.NewSectionReader(f, max(0, st.Size()-most), most))
	if err != nil {
		return ""
	}
	var b strings.Builder
	for line := range bytes.Lines(text) {
		b.Write(bytes.TrimPrefix(line, []byte("sessionctl: ")))
	}
	return strings.ToValidUTF8(strings.TrimSpace(b.String()), "\uFFFD")
}

// end writes down how a job ended, and lets go of what it had.
func (j *Jobs) end(ctx context.Context, x *job, e ended) {
	j.mu.Lock()
	next := x.Record
	next.Job.State, next.Job.ExitCode, next.Job.Ended, next.Result = e.state, e.code, time.Now().UTC(), e.result
	// One that cannot be written is over all the same, until a new daemon looks
	// at its unit again.
	err := j.write(&next)
	x.Record = next
	j.tell(api.JobChanged, x)
	j.mu.Unlock()
	log := j.Log.With("job", x.id, "kind", next.Job.Kind, "subject", next.Job.Subject, "state", e.state)
	switch {
	case err != nil:
		log.Error("how a job ended is not kept", "error", err)
	case e.state == api.JobFailed:
		log.Warn("a job failed", "code", e.code, "message", e.result.Message)
	default:
		log.Info("a job is over")
	}
	if err == nil {
		j.removeOutput(x.id)
		j.release(ctx, unitOf(x.id))
	}
	j.wake()
}
