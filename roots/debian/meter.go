package debian

import (
	"sync"
	"time"

	"ninefold/internal/progress"
)

// meter adds up the bytes of several downloads and reports them, at most ten
// times a second.
type meter struct {
	sink  progress.Sink
	stage string
	mu    sync.Mutex
	item  string
	done  int64
	total int64
	last  time.Time
}

func newMeter(sink progress.Sink, stage, item string) *meter {
	if sink == nil {
		sink = progress.None
	}
	return &meter{sink: sink, stage: stage, item: item}
}

func (m *meter) add(total int64) {
	m.mu.Lock()
	m.total += total
	m.mu.Unlock()
}

func (m *meter) start(item string) {
	m.mu.Lock()
	m.item = item
	m.mu.Unlock()
}

func (m *meter) got(n int64) {
	m.mu.Lock()
	m.done += n
	due := time.Since(m.last) >= 100*time.Millisecond
	if due {
		m.last = time.Now()
	}
	u := m.update()
	m.mu.Unlock()
	if due {
		m.sink.Update(u)
	}
}

func (m *meter) update() progress.Update {
	return progress.Update{Stage: m.stage, Item: m.item, Done: m.done, Total: m.total, Unit: "bytes"}
}

// end reports the last state; a job that moved no bytes reports nothing.
func (m *meter) end() {
	m.mu.Lock()
	u := m.update()
	m.mu.Unlock()
	if u.Total == 0 {
		return
	}
	u.Item, u.End = "", true
	m.sink.Update(u)
}
