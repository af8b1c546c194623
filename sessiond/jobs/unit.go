package jobs

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/godbus/dbus/v5"

	"ninefold/sessiond/broker/hostbus"
)

const (
	unitPrefix = "ninefold-job-"
	unitSuffix = ".service"
	// unitSlice has a file of its own, which makes it give way.
	unitSlice = "ninefoldjobs.slice"
	// stopTimeout is how long a command may take to undo what it was at; what
	// is killed then leaves a store that works, too.
	stopTimeout = 20 * time.Second
)

func unitOf(id string) string { return unitPrefix + id + unitSuffix }

// idOf reads the name of a unit.
func idOf(unit string) (id string, ok bool) {
	id, ok = strings.CutPrefix(unit, unitPrefix)
	if !ok {
		return "", false
	}
	if id, ok = strings.CutSuffix(id, unitSuffix); !ok {
		return "", false
	}
	_, ok = number(id)
	return id, ok
}

// environment is all that a job gets but for what systemd adds. The home is
// root's, for the credentials of registries.
var environment = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LANG=C.UTF-8"}

// properties are those of a job's unit. It remains when its command succeeds,
// until the daemon has written that down.
func (j *Jobs) properties(r Record, streams []*os.File) []hostbus.Property {
	set := hostbus.Set
	argv := j.argv(r)
	p := []hostbus.Property{
		set("Description", fmt.Sprintf("Ninefold job %s: %s", r.Job.ID, strings.TrimSpace(r.Job.Kind+" "+r.Job.Subject))),
		set("Type", "oneshot"),
		set("RemainAfterExit", true),
		set("Slice", unitSlice),
		set("ExecStartEx", []hostbus.Exec{{Path: filepath.Join(j.Programs, argv[0]), Argv: argv, Flags: []string{"no-env-expand"}}}),
		set("Environment", environment),
		// How far it is, it says by STATUS=, and so does the second build of a check.
		// What images bring runs without a way to the socket.
		set("NotifyAccess", "all"),
		set("UMask", uint32(0o022)),
		set("WorkingDirectory", "/"),
		// The command ends what it has started itself, in order.
		set("KillMode", "mixed"),
		set("TimeoutStopUSec", uint64(stopTimeout/time.Microsecond)),
		set("OOMPolicy", "kill"),
		set("OOMScoreAdjust", int32(500)),
		set("KeyringMode", "private"),
	}
	for i, name := range [3]string{"StandardInput", "StandardOutput", "StandardError"} {
		p = append(p, set(name+"FileDescriptor", dbus.UnixFD(streams[i].Fd())))
	}
	return p
}

// start has systemd start the command of a job. An answer that did not come is
// no error: whether it runs is seen when it is followed.
func (j *Jobs) start(ctx context.Context, r Record) error {
	var streams []*os.File
	defer func() {
		for _, f := range streams {
			f.Close()
		}
	}()
	for i, name := range []string{os.DevNull, j.file(r.Job.ID) + outSuffix, j.file(r.Job.ID) + errSuffix} {
		flags := os.O_RDONLY
		if i > 0 {
			flags = os.O_WRONLY | os.O_CREATE | os.O_TRUNC | os.O_APPEND
		}
		f, err := os.OpenFile(name, flags, 0o600)
		if err != nil {
			return fmt.Errorf("start job %s: %w", r.Job.ID, err)
		}
		streams = append(streams, f)
	}
	// Not ctx: a start that was sent is waited for.
	_, err := j.Units.Start(context.WithoutCancel(ctx), unitOf(r.Job.ID), j.properties(r, streams))
	if err != nil && !hostbus.Away(err) {
		return fmt.Errorf("start job %s: %w", r.Job.ID, err)
	}
	if err != nil {
		j.Log.Warn("whether a job was started is not known yet", "job", r.Job.ID, "error", err)
	}
	return nil
}

// stop ends the command of a job, over buses that come and go, until ctx ends.
func (j *Jobs) stop(ctx context.Context, unit string) {
	for wait := 100 * time.Millisecond; ; wait = min(2*wait, 5*time.Second) {
		timed, cancel := context.WithTimeout(ctx, stopTimeout+10*time.Second)
		err := j.Units.Stop(timed, unit)
		cancel()
		if err == nil || !hostbus.Away(err) {
			return // or there is no such unit
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}

// release lets go of a unit that has ended, whose end is written down. One that
// is not let go of goes when the next daemon looks.
func (j *Jobs) release(ctx context.Context, unit string) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	_ = j.Units.Stop(ctx, unit) // is not there, if it failed
	j.Units.Forget(unit)
}
