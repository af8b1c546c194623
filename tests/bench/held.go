package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"ninefold/namespaces"
)

const heldSessions = 100

// held measures what sessions cost while they are open: lines in the host's
// mount table, and memory.
func (b *bench) held(ctx context.Context) error {
	j, err := newJob(filepath.Join(b.dir, "held"), b.floor)
	if err != nil {
		return err
	}
	var memory []int64
	var lines, slab int64
	// The kernel frees namespaces a little later and other programs come and
	// go: three times, and the middle one counts.
	for range 3 {
		d, err := b.holdOnce(ctx, j)
		if err != nil {
			return err
		}
		memory = append(memory, d.available+d.slab)
		lines, slab = max(lines, d.lines), max(slab, d.slab)
	}
	slices.Sort(memory)
	each := memory[1] / heldSessions
	b.table.section(fmt.Sprintf("%d sessions open at once", heldSessions))
	b.table.add(row{what: "host's mountinfo", value: fmt.Sprintf("%+d lines", lines), target: "+0", met: lines == 0})
	memoryRow := row{what: "memory a session: loss of MemAvailable plus growth of Slab", value: fmt.Sprintf("%d KiB", each>>10), target: "<= 1 MiB", met: each <= 1<<20}
	if each <= 0 {
		memoryRow.value, memoryRow.met = "not measured", false
		b.table.note("other programs gave memory back while the sessions were open: run again.")
	}
	b.table.add(memoryRow)
	return nil
}

// usage is what changed while sessions were open.
type usage struct{ lines, available, slab int64 }

func (b *bench) holdOnce(ctx context.Context, j job) (u usage, err error) {
	p := b.jobPlan(j)
	before, err := settled()
	if err != nil {
		return u, err
	}
	var open []*namespaces.Session
	defer func() {
		for _, s := range open {
			err = errors.Join(err, s.Close())
		}
	}()
	for range heldSessions {
		s, err := namespaces.Start(ctx, p, namespaces.Command{Argv: []string{"/usr/bin/pause-floor", "pause"}})
		if err != nil {
			return u, err
		}
		open = append(open, s)
	}
	after, err := settled()
	if err != nil {
		return u, err
	}
	return usage{lines: after.lines - before.lines, available: before.available - after.available, slab: after.slab - before.slab}, nil
}

// settled reads the host's figures when they have come to rest: two readings
// close together, or the last of a bounded number.
func settled() (u usage, err error) {
	runtime.GC()
	var last usage
	for i := range 20 {
		if u, err = reading(); err != nil {
			return u, err
		}
		if d := u.available - last.available; i > 0 && -256<<10 < d && d < 256<<10 {
			return u, nil
		}
		last = u
		time.Sleep(200 * time.Millisecond)
	}
	return u, nil
}

func reading() (u usage, err error) {
	// Process 1 is in the host's mount namespace, the bench is not: neither may
	// see a session's mounts.
	for _, f := range []string{"/proc/1/mountinfo", "/proc/self/mountinfo"} {
		data, err := os.ReadFile(f)
		if err != nil {
			return u, err
		}
		u.lines += int64(bytes.Count(data, []byte("\n")))
	}
	data, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return u, err
	}
	for line := range strings.Lines(string(data)) {
		f := strings.Fields(line)
		if len(f) < 2 {
			continue
		}
		kib, _ := strconv.ParseInt(f[1], 10, 64)
		switch f[0] {
		case "MemAvailable:":
			u.available = kib << 10
		case "Slab:":
			u.slab = kib << 10
		}
	}
	return u, nil
}
