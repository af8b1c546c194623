// Package show renders what the commands have to say: how far a long job has
// come, and tables.
package show

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"golang.org/x/term"

	"ninefold/internal/progress"
)

const (
	// quiet is how long a job may take before anything is shown.
	quiet = time.Second
	// frame is the time between two paintings of a bar and two JSON lines.
	frame = 200 * time.Millisecond
	// lineEvery is the time between two plain lines of one stage.
	lineEvery = 3 * time.Second
)

// Progress is a progress.Sink that shows a job while it runs. It must be
// closed; Close leaves the cursor at the start of an empty line.
type Progress struct {
	mu     sync.Mutex
	paint  painter
	after  time.Duration // how long nothing is shown
	state  state
	since  map[string]time.Time // when the stages that have not ended began
	open   []progress.Update    // the last of each of them, the outermost first
	now    func() time.Time
	begun  time.Time
	stop   chan struct{}
	done   chan struct{}
	closed bool
}

// state is what a painter sees.
type state struct {
	u     progress.Update
	since time.Time // when this stage began
	seen  bool
}

// painter is one way to show progress. Its methods are called under one lock.
type painter interface {
	// tick is called once a frame, and for each Update that changes or ends a
	// stage.
	tick(s state, now time.Time)
	// stage is called when s.u is the last update of its stage.
	stage(s state, now time.Time)
	// clear takes away what tick left behind.
	clear()
}

// NewProgress shows a job on out: as a bar that is painted over and over when
// out is a terminal, as JSON lines (one progress.Update each) when asked, and
// otherwise as plain lines a few seconds apart. Nothing appears before the job
// has run for a second, JSON excepted. Out stays the caller's. A service that may
// tell systemd how it is (NOTIFY_SOCKET, sd_notify(3)) tells that instead.
func NewProgress(out *os.File, asJSON bool) *Progress {
	var p painter
	after := quiet
	switch {
	case os.Getenv("NOTIFY_SOCKET") != "" && !term.IsTerminal(int(out.Fd())):
		p, after = &jsonLines{out: status{}}, 0
	case asJSON:
		p, after = &jsonLines{out: out}, 0
	case term.IsTerminal(int(out.Fd())) && os.Getenv("TERM") != "dumb":
		p = &bar{out: out, width: func() int {
			w, _, err := term.GetSize(int(out.Fd()))
			if err != nil || w <= 0 {
				return 80
			}
			return w
		}}
	default:
		p = &plainLines{out: out}
	}
	pr := newProgress(p, after, time.Now)
	go pr.run()
	return pr
}

func newProgress(p painter, after time.Duration, now func() time.Time) *Progress {
	return &Progress{paint: p, after: after, since: map[string]time.Time{}, now: now, begun: now(), stop: make(chan struct{}), done: make(chan struct{})}
}

// run repaints until Close: a bar must appear, and its rate move, also when
// the job sends nothing.
func (p *Progress) run() {
	defer close(p.done)
	t := time.NewTicker(frame)
	defer t.Stop()
	for {
		select {
		case <-p.stop:
			return
		case <-t.C:
			p.mu.Lock()
			p.tick(p.now())
			p.mu.Unlock()
		}
	}
}

func (p *Progress) tick(now time.Time) {
	if p.state.seen && now.Sub(p.begun) >= p.after {
		p.paint.tick(p.state, now)
	}
}

// Update implements progress.Sink. It only notes u; painting is done by the
// clock, except where a stage changes.
func (p *Progress) Update(u progress.Update) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return
	}
	now := p.now()
	changed := !p.state.seen || p.state.u.Stage != u.Stage
	// A stage can be interrupted by one that is part of it.
	if _, going := p.since[u.Stage]; !going {
		p.since[u.Stage] = now
	}
	p.state = state{u: u, since: p.since[u.Stage], seen: true}
	i := slices.IndexFunc(p.open, func(o progress.Update) bool { return o.Stage == u.Stage })
	switch {
	case u.End && i >= 0:
		p.open = slices.Delete(p.open, i, i+1)
	case !u.End && i >= 0:
		p.open[i] = u
	case !u.End:
		p.open = append(p.open, u)
	}
	if u.End {
		delete(p.since, u.Stage)
	}
	if changed {
		p.tick(now)
	}
	if u.End && now.Sub(p.begun) >= p.after {
		p.paint.stage(p.state, now)
	}
	if u.End {
		p.goOn()
	}
}

// goOn shows again what the stage that has ended was part of.
func (p *Progress) goOn() {
	for _, o := range slices.Backward(p.open) {
		if o.Total == 0 || o.Done < o.Total {
			p.state = state{u: o, since: p.since[o.Stage], seen: true}
			return
		}
	}
}

// Close stops the display. It may be called more than once.
func (p *Progress) Close() {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return
	}
	p.closed = true
	p.mu.Unlock()
	close(p.stop)
	<-p.done
	p.mu.Lock()
	defer p.mu.Unlock()
	p.paint.clear()
}

// plainLines writes a line when a stage begins, every few seconds, and when a
// stage ends. Stages may overlap.
type plainLines struct {
	out   io.Writer
	begun map[string]bool
	last  time.Time
}

func (l *plainLines) tick(s state, now time.Time) {
	if s.u.End || l.begun[s.u.Stage] && now.Sub(l.last) < lineEvery {
		return
	}
	if l.begun == nil {
		l.begun = map[string]bool{}
	}
	l.begun[s.u.Stage], l.last = true, now
	fmt.Fprintln(l.out, summary(s, now))
}

func (l *plainLines) stage(s state, now time.Time) {
	delete(l.begun, s.u.Stage)
	l.last = now
	fmt.Fprintln(l.out, finished(s, now))
}

func (l *plainLines) clear() {}

// jsonLines writes updates as JSON, at most one a frame and every last one of
// a stage.
type jsonLines struct {
	out  io.Writer
	last progress.Update
}

func (j *jsonLines) tick(s state, _ time.Time) {
	if s.u != j.last && !s.u.End {
		j.write(s.u)
	}
}

func (j *jsonLines) stage(s state, _ time.Time) { j.write(s.u) }

func (j *jsonLines) clear() {}

// status is the STATUS= of the service that this process is.
type status struct{}

// Write takes one line.
func (status) Write(line []byte) (int, error) {
	_, err := daemon.SdNotify(false, "STATUS="+string(bytes.TrimSpace(line)))
	return len(line), err
}

func (j *jsonLines) write(u progress.Update) {
	j.last = u
	b, err := json.Marshal(u)
	if err != nil {
		return
	}
	j.out.Write(append(b, '\n'))
}
