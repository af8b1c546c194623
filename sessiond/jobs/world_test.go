package jobs

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"

	"ninefold/sessiond/api"
	"ninefold/sessiond/broker/hostbus"
)

// program stands in the place of those that do the work. What it is asked for
// says what it does.
const program = `#!/bin/sh
for last; do :; done
case $last in
good) echo '{"id": 1}' ;;
bad) echo "sessionctl: it is bad" >&2; echo "hint: make it good" >&2; exit 4 ;;
long) exec sleep 3600 ;;
esac
`

// processes are units without systemd, which the tests on booted machines have:
// a process is there until somebody forgets it, whatever becomes of the daemon.
type processes struct {
	mu     sync.Mutex
	units  map[string]*process
	most   int // that ran at a time
	refuse error
	status string
}

type process struct {
	cmd  *exec.Cmd
	over chan struct{}
}

func (p *processes) Start(_ context.Context, name string, properties []hostbus.Property) (*hostbus.Started, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.refuse != nil {
		return nil, p.refuse
	}
	var c *exec.Cmd
	var streams []*os.File
	for _, x := range properties {
		switch v := x.Value.Value().(type) {
		case []hostbus.Exec:
			c = exec.Command(v[0].Path, v[0].Argv[1:]...)
		case dbus.UnixFD:
			fd, err := syscall.Dup(int(v))
			if err != nil {
				return nil, err
			}
			f := os.NewFile(uintptr(fd), x.Name)
			defer f.Close()
			streams = append(streams, f)
		}
	}
	c.Stdin, c.Stdout, c.Stderr = streams[0], streams[1], streams[2]
	if err := c.Start(); err != nil {
		return nil, err
	}
	u := &process{c, make(chan struct{})}
	p.units[name] = u
	p.most = max(p.most, p.running())
	go func() {
		_ = c.Wait() // how it ended is in its state
		close(u.over)
	}()
	return &hostbus.Started{Unit: name}, nil
}

func (p *processes) running() (n int) {
	for _, u := range p.units {
		select {
		case <-u.over:
		default:
			n++
		}
	}
	return n
}

func (p *processes) unit(name string) *process {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.units[name]
}

func (p *processes) Outcome(ctx context.Context, name string) (hostbus.Outcome, error) {
	u := p.unit(name)
	if u == nil {
		return hostbus.Outcome{Active: "inactive"}, nil
	}
	select {
	case <-u.over:
	case <-ctx.Done():
		return hostbus.Outcome{}, ctx.Err()
	}
	st := u.cmd.ProcessState.Sys().(syscall.WaitStatus)
	switch {
	case st.Signaled():
		return hostbus.Outcome{Active: "failed", Result: "signal", End: hostbus.End{Signal: int(st.Signal())}}, nil
	case st.ExitStatus() != 0:
		return hostbus.Outcome{Active: "failed", Result: "exit-code", End: hostbus.End{Code: st.ExitStatus()}}, nil
	}
	return hostbus.Outcome{Active: "active", Result: "success"}, nil
}

func (p *processes) StatusText(context.Context, string) (string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.status, nil
}

func (p *processes) Stop(_ context.Context, name string) error {
	if u := p.unit(name); u != nil {
		_ = u.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
		<-u.over
	}
	return nil
}

func (p *processes) Forget(name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.units, name)
}

func (p *processes) List(context.Context, string) (names []string, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for name := range p.units {
		names = append(names, name)
	}
	return names, nil
}

// world is a room for jobs that can be left and entered anew.
type world struct {
	t     *testing.T
	dir   string
	units *processes
	jobs  *Jobs
	leave func()
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, dir: t.TempDir(), units: &processes{units: map[string]*process{}}}
	for _, name := range []string{builder, control} {
		if err := os.WriteFile(filepath.Join(w.dir, name), []byte(program), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		if w.leave != nil {
			w.leave()
		}
		names, _ := w.units.List(t.Context(), "")
		for _, name := range names {
			_ = w.units.Stop(t.Context(), name)
		}
	})
	w.open()
	return w
}

func (w *world) open() {
	w.t.Helper()
	j, err := New(Options{Dir: filepath.Join(w.dir, "jobs"), Units: w.units, Programs: w.dir, Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
		Event: func(api.Event) {}})
	if err != nil {
		w.t.Fatal(err)
	}
	w.jobs = j
}

// run begins, and leave ends what the daemon does; jobs go on.
func (w *world) run() {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { w.jobs.Run(ctx); close(done) }()
	w.leave = func() { cancel(); <-done; w.leave = nil }
}

func (w *world) start(names ...string) string {
	w.t.Helper()
	x, err := w.jobs.StartJob(w.t.Context(), api.NewJob{Kind: api.JobBuild, Names: names, UID: 7})
	if err != nil {
		w.t.Fatal(err)
	}
	return x.ID
}

func (w *world) becomes(id string, s api.JobState) (api.Job, api.JobResult) {
	w.t.Helper()
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		x, err := w.jobs.Job(w.t.Context(), id)
		if err != nil {
			w.t.Fatal(err)
		}
		if x.State == s {
			r, err := w.jobs.JobResult(w.t.Context(), id)
			if err != nil {
				w.t.Fatal(err)
			}
			return x, r
		}
		if time.Now().After(end) {
			w.t.Fatalf("job %s does not become %s: %+v", id, s, x)
		}
	}
}

// left are the names in the directory of records.
func (w *world) left() string {
	w.t.Helper()
	entries, err := os.ReadDir(filepath.Join(w.dir, "jobs"))
	if err != nil {
		w.t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return strings.Join(names, " ")
}

var errRefused = errors.New("refused")

func numbers(from, to int) (out []string) {
	for i := from; i <= to; i++ {
		out = append(out, strconv.Itoa(i))
	}
	return out
}
