package main

import (
	"context"
	"fmt"
	"path"
	"path/filepath"
	"time"

	"ninefold/namespaces"
	"ninefold/namespaces/plan"
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
	b.table.section("session start: the job (medians; ratio to the C floor)")
	for _, c := range append(cs, ours...) {
		r, ok := results[c.name]
		if !ok {
			b.table.note("%s could not do the job: %v", c.name, failed[c.name])
			continue
		}
		b.table.add(row{
			what: c.name, value: fmt.Sprintf("%6.2f ms ±%.2f", ms(r.median), ms(r.spread)/2),
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

// jobPlan is the job as a plan.
func (b *bench) jobPlan(j job) *plan.Plan {
	dir := func(name string) plan.Layer { return plan.Layer{Kind: plan.LayerDir, Source: j.path(name)} }
	quiet := plan.Flags{NoSuid: true, NoDev: true}
	p := &plan.Plan{Class: plan.Trusted, Ops: []plan.Op{
		plan.Namespaces{PID: true, IPC: true, UTS: true, Net: plan.NetHost, User: plan.UserHost, Hostname: "bench"},
		plan.Overlay{Target: "/", Lowers: []plan.Layer{dir("runtime"), dir("base")}, Upper: &plan.Upper{}},
		plan.Mount{Type: "proc", Target: "/proc", Flags: plan.Flags{NoSuid: true, NoDev: true, NoExec: true}},
		plan.Mount{Type: "dev", Target: "/dev"},
		plan.Mount{Type: "devpts", Target: "/dev/pts", Flags: plan.Flags{NoSuid: true, NoExec: true}, Options: []string{"mode=620", "ptmxmode=666"}},
		plan.Mount{Type: "tmpfs", Target: "/dev/shm", Flags: quiet, Options: []string{"mode=1777"}},
		plan.Bind{Source: b.bin, Target: path.Dir(namespaces.InitPath), Flags: plan.Flags{ReadOnly: true, NoSuid: true, NoDev: true}},
	}}
	for from, to := range writable {
		p.Ops = append(p.Ops, plan.Bind{Source: j.path("binds", from), Target: to})
	}
	for from, to := range readOnly {
		p.Ops = append(p.Ops, plan.Bind{Source: j.path("binds", from), Target: to, Flags: plan.Flags{ReadOnly: true, NoSuid: true, NoDev: true}})
	}
	p.Ops = append(p.Ops, plan.Environment{Name: "PATH", Value: "/usr/bin:/bin"}, plan.Privileges{NoNewPrivs: true}, plan.Identity{})
	return p
}

// ours are Ninefold's ways of doing the job.
func (b *bench) ours(ctx context.Context, j job) ([]contender, error) {
	p := b.jobPlan(j)
	return []contender{
		{nameInProcess, func(ctx context.Context) (time.Duration, error) {
			start := time.Now()
			status, err := namespaces.Run(ctx, p, namespaces.Command{Argv: []string{"/bin/true"}})
			d := time.Since(start)
			if err == nil && status.Code != 0 {
				err = fmt.Errorf("true ended with %d", status.Code)
			}
			return d, err
		}},
	}, nil
}
