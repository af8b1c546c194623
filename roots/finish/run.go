package finish

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"ninefold/internal/progress"
	"ninefold/roots/pkg"
)

// Cache keeps results of steps by the key of what they read.
type Cache interface {
	Step(key pkg.Digest) (*pkg.Package, bool)
	SetStep(key pkg.Digest, p *pkg.Package) error
}

// Options say what Run does.
type Options struct {
	// Steps are built-in steps by name; nil means all. They run in the order
	// of Names whatever their order here.
	Steps  []string
	Params Params
	// Host says that the tree includes the running machine's own: its accounts,
	// trust and package database stay as they are.
	Host bool
	// Sandbox runs the steps that need a tool of the image. With none such a
	// step fails when its result is not in the cache.
	Sandbox Sandbox
	// Cache may be nil.
	Cache    Cache
	Progress progress.Sink
}

// Ran is what became of one step.
type Ran struct {
	Step    string
	Cached  bool
	Took    time.Duration
	Entries int
}

// Run applies the steps to view, one after another, and reports those that
// had something to do. On an error view holds what the steps before made.
func Run(ctx context.Context, objects Objects, view *View, o Options) ([]Ran, error) {
	if o.Progress == nil {
		o.Progress = progress.None
	}
	for _, name := range o.Steps {
		if !Known(name) {
			return nil, fmt.Errorf("finishing step %q is not known; there are %q", name, Names())
		}
	}
	var todo []*step
	for i := range steps {
		s := &steps[i]
		if o.Host && s.machine {
			continue
		}
		if o.Steps == nil || slices.Contains(o.Steps, s.name) || s.name == runStep.name {
			todo = append(todo, s)
		}
	}
	r := &runner{o: &o, objects: objects, view: view, tools: &sandboxed{sandbox: o.Sandbox}, total: len(todo)}
	defer r.tools.close()
	for len(todo) > 0 {
		n := 1
		for n < len(todo) && todo[0].tool && todo[n].tool {
			n++
		}
		if err := r.group(ctx, todo[:n]); err != nil {
			return r.ran, err
		}
		todo = todo[n:]
	}
	r.report("", true)
	return r.ran, nil
}

type runner struct {
	o       *Options
	objects Objects
	view    *View
	tools   *sandboxed
	ran     []Ran
	done    atomic.Int64
	total   int
}

func (r *runner) report(name string, end bool) {
	r.o.Progress.Update(progress.Update{Stage: "finish", Item: name, Done: r.done.Load(), Total: int64(r.total), Unit: "steps", End: end})
}

// group runs steps that do not read each other's results, and then applies
// all of these in order.
func (r *runner) group(outer context.Context, group []*step) error {
	var steps []*step
	for _, s := range group {
		if s.expand == nil {
			steps = append(steps, s)
			continue
		}
		parts := s.expand(r.view)
		for i := range parts {
			steps = append(steps, &parts[i])
		}
		r.total += len(parts) - 1
	}
	ran := make([]Ran, len(steps))
	results := make([]*pkg.Package, len(steps))
	todo, ctx := errgroup.WithContext(outer)
	todo.SetLimit(runtime.GOMAXPROCS(0))
	for i, s := range steps {
		if err := ctx.Err(); err != nil {
			break
		}
		start := time.Now()
		in := s.reads(r.view, &r.o.Params)
		if len(in.entries) == 0 && !in.always {
			r.done.Add(1)
			continue
		}
		key := s.key(&in)
		if r.o.Cache != nil {
			if p, ok := r.o.Cache.Step(key); ok {
				results[i] = p
				ran[i] = Ran{s.name, true, time.Since(start), len(p.Entries)}
				r.done.Add(1)
				continue
			}
		}
		todo.Go(func() error {
			r.report(s.name, false)
			start := time.Now()
			p, err := r.one(ctx, s, key, &in)
			if err != nil {
				return fmt.Errorf("finishing step %s: %w", s.name, err)
			}
			results[i] = p
			ran[i] = Ran{s.name, false, time.Since(start), len(p.Entries)}
			r.done.Add(1)
			return nil
		})
	}
	if err := todo.Wait(); err != nil {
		return err
	}
	if err := outer.Err(); err != nil {
		return err
	}
	for i, p := range results {
		if p != nil {
			r.view.Apply(p.Entries)
			r.ran = append(r.ran, ran[i])
		}
	}
	return nil
}

func (r *runner) one(ctx context.Context, s *step, key pkg.Digest, in *inputs) (*pkg.Package, error) {
	j := &job{ctx: ctx, view: r.view, params: &r.o.Params, in: *in, out: newOutput(ctx, r.objects, in.newest()), run: r.tools}
	if err := s.do(j); err != nil {
		return nil, err
	}
	p := &pkg.Package{Name: "finish-" + s.name, Version: key.Short(), Arch: "all", Entries: j.out.sorted()}
	if err := p.Validate(); err != nil {
		return nil, err
	}
	if r.o.Cache != nil {
		if err := r.o.Cache.SetStep(key, p); err != nil {
			return nil, err
		}
	}
	return p, nil
}
