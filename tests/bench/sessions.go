package main

import (
	"context"
	"fmt"
	"path/filepath"
	"time"
)

const (
	nameInProcess = "ninefold, in process"
	nameCommand   = "ninefold, one sessionctl run"
	nameHost      = "ninefold, sessionctl run host (more than the job)"
)

// sessions measures the start of a session: the job, by everybody.
func (b *bench) sessions(ctx context.Context) error {
	j, err := newJob(filepath.Join(b.dir, "job"), b.floor)
	if err != nil {
		return err
	}
	cs, err := b.peers(ctx, j)
	if err != nil {
		return err
	}
	ours, err := b.ours(ctx, j)
	if err != nil {
		return err
	}
	results, failed := interleave(ctx, b.rounds, append(cs, ours...))
	if err := ctx.Err(); err != nil {
		return err
	}
	floor, ok := results[nameFloor]
	if !ok {
		return fmt.Errorf("the floor itself: %w", failed[nameFloor])
	}
	b.table.section("session start: the job")
	b.table.note("session rows: median, half the distance between the quartiles, and the fastest tenth.")
	if floor.spread > floor.median/2 {
		b.table.note("the machine was busy with other things: the medians of the session rows are worth little, run again.")
	}
	for _, c := range append(cs, ours...) {
		r, ok := results[c.name]
		if !ok {
			b.table.note("%s could not do the job: %v", c.name, failed[c.name])
			continue
		}
		b.table.add(row{
			what: c.name, value: fmt.Sprintf("%6.2f ms ±%.2f, best %.2f", ms(r.median), ms(r.spread)/2, ms(r.best)),
			ratio: fmt.Sprintf("%5.2f x floor", ratio(r.median, floor.median)),
		})
	}
	for _, t := range []struct {
		ours, theirs string
		limit        float64
		text         string
	}{
		{nameInProcess, nameBwrap, 0.5, "<= 0.5"},
		{nameInProcess, nameRunc, 0.1, "<= 1/10"},
		{nameInProcess, nameNspawn, 0.05, "<= 1/20"},
		{nameCommand, nameBwrap, 1.2, "<= 1.2"},
		{nameCommand, nameRunc, 0.1, "<= 1/10"},
		{nameCommand, nameNspawn, 0.05, "<= 1/20"},
	} {
		us, ok1 := results[t.ours]
		them, ok2 := results[t.theirs]
		if !ok1 || !ok2 {
			b.table.add(row{what: t.ours + " : " + t.theirs, value: "not measured", target: t.text})
			continue
		}
		q := ratio(us.median, them.median)
		b.table.add(row{what: t.ours + " : " + t.theirs, value: fmt.Sprintf("%.2f : %.2f ms", ms(us.median), ms(them.median)),
			ratio: fmt.Sprintf("%5.3f", q), target: t.text, met: q <= t.limit})
	}
	return nil
}

func ms(d time.Duration) float64       { return float64(d) / float64(time.Millisecond) }
func ratio(a, b time.Duration) float64 { return float64(a) / float64(b) }
