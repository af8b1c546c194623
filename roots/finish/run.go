package finish

import (
	"context"
	"fmt"
	"slices"
	"time"

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
		if o.Steps == nil || slices.Contains(o.Steps, s.name) || s.name == runStep.name {
			todo = append(todo, s)
		}
	}
	tools := &sandboxed{sandbox: o.Sandbox}
	defer tools.close()
	var ran []Ran
	report := func(name string, done int, end bool) {
		o.Progress.Update(progress.Update{Stage: "finish", Item: name, Done: int64(done), Total: int64(len(todo)), Unit: "steps", End: end})
	}
	for i, s := range todo {
		if err := ctx.Err(); err != nil {
			return ran, err
		}
		report(s.name, i, false)
		r, err := runOne(ctx, s, objects, view, &o, tools)
		if err != nil {
			return ran, fmt.Errorf("finishing step %s: %w", s.name, err)
		}
		if r.Step != "" {
			ran = append(ran, r)
		}
	}
	report("", len(todo), true)
	return ran, nil
}

func runOne(ctx context.Context, s *step, objects Objects, view *View, o *Options, tools *sandboxed) (Ran, error) {
	start := time.Now()
	in := s.reads(view, &o.Params)
	if len(in.entries) == 0 {
		return Ran{}, nil
	}
	key := s.key(&in)
	if o.Cache != nil {
		if p, ok := o.Cache.Step(key); ok {
			view.Apply(p.Entries)
			return Ran{s.name, true, time.Since(start), len(p.Entries)}, nil
		}
	}
	j := &job{ctx: ctx, view: view, params: &o.Params, in: in, out: newOutput(ctx, objects, in.newest()), run: tools}
	if err := s.do(j); err != nil {
		return Ran{}, err
	}
	p := &pkg.Package{Name: "finish-" + s.name, Version: key.Short(), Arch: "all", Entries: j.out.sorted()}
	if err := p.Validate(); err != nil {
		return Ran{}, err
	}
	if o.Cache != nil {
		if err := o.Cache.SetStep(key, p); err != nil {
			return Ran{}, err
		}
	}
	view.Apply(p.Entries)
	return Ran{s.name, false, time.Since(start), len(p.Entries)}, nil
}
