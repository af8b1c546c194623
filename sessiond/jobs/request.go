package jobs

import (
	"fmt"
	"slices"
	"strings"

	"ninefold/roots/image"
	"ninefold/sessiond/api"
)

// The programs that do the work, beside the daemon.
const (
	builder = "ninefold-build"
	control = "ninefold-ctl"
)

// maxNames bounds the names of one job.
const maxNames = 64

// kinds says what runs for each kind of job, with which words, and what it
// takes. No path and no text of who asks gets to a command.
var kinds = map[string]struct {
	program  string
	words    []string
	options  []string
	min, max int
	name     func(string) error
}{
	api.JobBuild:   {builder, nil, []string{"relock", "offline", "check"}, 1, maxNames, recipeName},
	api.JobPull:    {builder, []string{"pull"}, nil, 1, 1, reference},
	api.JobVerify:  {control, []string{"image", "verify"}, []string{"discard"}, 0, maxNames, reference},
	api.JobRemove:  {control, []string{"image", "remove"}, nil, 1, maxNames, reference},
	api.JobCollect: {control, []string{"image", "gc"}, nil, 0, 0, nil},
}

// recipeName takes the name of a recipe: what would be a file or a place in git
// to the command is none.
func recipeName(s string) error {
	if !image.ValidName(s) || strings.HasSuffix(s, ".toml") {
		return fmt.Errorf("recipe %.140q: give the name of one in the machine's directories", s)
	}
	return nil
}

func reference(s string) error {
	_, err := image.ParseReference(s)
	return err
}

// CheckJob refuses what can be no job.
func (*Jobs) CheckJob(n api.NewJob) error {
	k, ok := kinds[n.Kind]
	if !ok {
		return fmt.Errorf("%w: there are no jobs of kind %.40q", api.ErrInvalid, n.Kind)
	}
	if len(n.Names) < k.min || len(n.Names) > k.max {
		return fmt.Errorf("%w: %s of %d names, and it takes %d to %d", api.ErrInvalid, n.Kind, len(n.Names), k.min, k.max)
	}
	for _, name := range n.Names {
		if err := k.name(name); err != nil {
			return fmt.Errorf("%w: %w", api.ErrInvalid, err)
		}
	}
	for i, o := range n.Options {
		if !slices.Contains(k.options, o) || slices.Contains(n.Options[:i], o) {
			return fmt.Errorf("%w: %s has no option %.40q", api.ErrInvalid, n.Kind, o)
		}
	}
	return nil
}

// argv is the command of a job that CheckJob let through: the program without its
// directory, and its arguments.
func (j *Jobs) argv(r Record) []string {
	k := kinds[r.Job.Kind]
	argv := append([]string{k.program}, k.words...)
	if j.Config != "" {
		argv = append(argv, "--config="+j.Config)
	}
	if j.State != "" {
		argv = append(argv, "--state="+j.State)
	}
	if r.Job.Kind != api.JobRemove { // which prints nothing
		argv = append(argv, "--json")
	}
	for _, o := range r.Options {
		argv = append(argv, "--"+o)
	}
	return append(append(argv, "--"), r.Names...)
}
