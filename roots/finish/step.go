package finish

import (
	"context"
	"slices"
	"sort"

	"ninefold/roots/pkg"
)

// Params are what the packages and the recipe say beside the files.
type Params struct {
	// Declared is what the packages of the whole chain declare, in order of
	// package name.
	Declared pkg.Declared
	// Recipe is what the image's own recipe adds. A path in it that does not
	// exist is an error; one of a package is passed over, as dpkg does.
	Recipe pkg.Declared
	// Packages are those of the whole chain.
	Packages []Installed
	// Run are commands for /bin/sh, the last step.
	Run []string
	// Fetched name the files that Run finds beside the tree, with their hashes.
	Fetched []string
}

// Installed is a package of the image, for dpkg's database.
type Installed struct {
	Name, Version, Arch string
	Digest              pkg.Digest
	// Entries are its files, sorted.
	Entries []pkg.Entry
}

// step is one thing that is done over the tree.
type step struct {
	name    string
	summary string
	// revision changes whenever the same input gives another result.
	revision int
	// tool is set for steps that run one of the image's programs and read
	// nothing that another such step makes: those run beside each other.
	tool bool
	// machine is set for steps about what the machine itself decides where an
	// image stands on it: accounts, trust, its package database.
	machine bool
	// reads names what the step depends on. No entries means that the step has
	// nothing to do here.
	reads func(v *View, p *Params) inputs
	// do makes the result.
	do func(j *job) error
	// expand splits the step into several with results of their own, in place
	// of reads and do. All bear the step's name.
	expand func(v *View) []step
}

// inputs decide a step's result.
type inputs struct {
	entries []pkg.Entry
	extra   []byte // anything else, encoded
	// always runs the step although there are no entries.
	always bool
}

// job is one run of a step.
type job struct {
	ctx    context.Context
	view   *View
	params *Params
	in     inputs
	out    *output
	run    *sandboxed
}

// steps is the order in which they run: later ones read what earlier ones made.
var steps = []step{
	usersStep, baseStep, overridesStep, alternativesStep, pamStep, shellsStep,
	certificatesStep, ldconfigStep, desktopStep, iconsStep, dpkgStep,
	// The longest first.
	fontconfigStep, mimeStep, hwdbStep, depmodStep, xfontsStep, glibSchemasStep, gioModulesStep,
	pixbufStep, gtk2Step, gtk3Step, dconfStep, gconvStep,
	fontTreesStep, runStep,
}

// Names lists the built-in steps in the order in which they run.
func Names() []string {
	names := make([]string, 0, len(steps)-1)
	for _, s := range steps {
		if s.name != runStep.name {
			names = append(names, s.name)
		}
	}
	return names
}

// Describe returns one line about a step, "" for an unknown one.
func Describe(name string) string {
	for _, s := range steps {
		if s.name == name {
			return s.summary
		}
	}
	return ""
}

// Known reports whether name is a built-in step that a recipe may list.
func Known(name string) bool { return slices.Contains(Names(), name) }

// collector gathers the entries that a step reads, each once.
type collector struct {
	view *View
	seen map[string]bool
	list []pkg.Entry
}

func collect(v *View) *collector { return &collector{view: v, seen: make(map[string]bool)} }

func (c *collector) add(e pkg.Entry) {
	if !c.seen[e.Path] {
		c.seen[e.Path] = true
		c.list = append(c.list, e)
	}
}

// path adds the entry at p, what it links to, and reports whether there is one.
func (c *collector) path(p string) bool {
	if e, ok := c.view.Lookup(p); ok && e.Kind == pkg.Symlink {
		c.add(e)
	}
	e, ok := c.view.Stat(p)
	if ok {
		c.add(e)
	}
	return ok
}

// below adds everything below dir that keep accepts (nil keeps all), after
// following links to dir, and reports whether there was anything.
func (c *collector) below(dir string, keep func(e *pkg.Entry) bool) bool {
	d, ok := c.view.Stat(dir)
	if !ok || d.Kind != pkg.Dir {
		return false
	}
	any := false
	for e := range c.view.Below(d.Path) {
		if keep == nil || keep(&e) {
			c.add(e)
			if e.Kind == pkg.Symlink {
				if t, ok := c.view.Stat(e.Path); ok {
					c.add(t)
				}
			}
			any = true
		}
	}
	return any
}

func (c *collector) inputs() inputs {
	sort.Slice(c.list, func(i, j int) bool { return c.list[i].Path < c.list[j].Path })
	return inputs{entries: c.list}
}
