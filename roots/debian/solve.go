package debian

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"ninefold/internal/progress"
	"ninefold/roots/lock"
	"ninefold/roots/recipe"
)

// Options say where Solve works. The zero value of all but Dir is right.
type Options struct {
	// Dir keeps verified package indices and holds apt's private roots while
	// they are in use. It belongs to this program (STATE/apt).
	Dir string
	// Root is the root directory of the machine whose apt configuration gives
	// the default mirror and keys; default "/".
	Root string
	// Now is the time at which signatures have to be valid; default time.Now.
	Now func() time.Time
	// Offline, of Newest, asks what was kept of the archives the last time: verified again,
	// whatever the date; ErrNotKept where there is nothing.
	Offline bool
	// Sink is told about downloads (stage "index") and the solver ("solve").
	Sink progress.Sink
}

// filled is o with its defaults.
func (o Options) filled() Options {
	if o.Root == "" {
		o.Root = "/"
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Sink == nil {
		o.Sink = progress.None
	}
	return o
}

// NewQuestion makes the question for the last recipe of a chain. parents are
// the locks of the recipes before it, root first. For a chain on the host the
// packages installed on the machine stand for the root, and its own release
// for a suite that nobody names.
func NewQuestion(chain recipe.Chain, parents []*lock.Lock) (lock.Question, error) {
	return newQuestion(chain, parents, "/", StatusFile)
}

func newQuestion(chain recipe.Chain, parents []*lock.Lock, root, statusFile string) (lock.Question, error) {
	r, src := chain.Last(), chain.Source()
	q := lock.Question{
		Recipe: r.Name, Arch: Arch(), Packages: r.Packages, Suite: src.Suite, Components: src.Components, Mirror: src.Mirror,
		Keyring: src.Keyring, AllowExpired: src.AllowExpired, Host: chain.OnHost(), From: chain.OnImage(),
		Root:       len(chain) == 1 && r.From == "" && src.Suite != "",
		Recommends: src.Recommends != nil && *src.Recommends,
		Updates:    src.Updates == nil || *src.Updates,
	}
	if len(parents) != len(chain)-1 {
		return q, fmt.Errorf("question for recipe %s: %d locks of parents given, it has %d parents", r.Name, len(parents), len(chain)-1)
	}
	if q.Host {
		installed, err := Installed(statusFile)
		if err != nil {
			return q, err
		}
		q.Parent = installed
		if q.Suite == "" {
			q.Suite, _ = hostBase(debianSources(root))
			q.Components = []string{"main"}
		}
	}
	for _, l := range parents {
		q.Parent = append(q.Parent, l.Packages...)
	}
	return q, nil
}

// Solve answers a question: which packages, besides the parent's, have to be
// there for those asked for. It needs apt-get and the archive, and no
// privileges. A question for no packages is answered without either.
//
// Its errors are ErrNoPackage, ErrUnsatisfiable, ErrReplacesParent,
// ErrNoSource, ErrNoApt, and all that verifying an archive can say.
func Solve(ctx context.Context, q lock.Question, o Options) (*lock.Lock, error) {
	l := &lock.Lock{Version: lock.Version, Recipe: q.Recipe, RecipeHash: q.Hash(), Arch: q.Arch}
	if len(q.Packages) == 0 && !q.Root {
		return l, nil
	}
	l, err := solve(ctx, q, o, l)
	if err != nil {
		return nil, fmt.Errorf("solve %s: %w", q.Recipe, err)
	}
	return l, nil
}

func solve(ctx context.Context, q lock.Question, o Options, l *lock.Lock) (*lock.Lock, error) {
	o = o.filled()
	list, err := archives(q, o.Root)
	if err != nil {
		return nil, err
	}
	defer sweep(o.Dir)
	repos, err := openArchives(ctx, list, q.Arch, o.Dir, o.Now(), o.Sink)
	if err != nil {
		return nil, err
	}
	o.Sink.Update(progress.Update{Stage: "solve", Item: q.Recipe})
	x := newIndex()
	for _, r := range repos {
		for _, text := range r.indices {
			if err := x.add(r.mirror, text); err != nil {
				return nil, err
			}
		}
		r.indices = nil
	}
	if err := x.check(q.Packages, q.Suite); err != nil {
		return nil, err
	}
	wanted := slices.Sorted(slices.Values(q.Packages))
	if q.Root {
		wanted = withEssentials(wanted, x.essentials())
	}
	choices, err := ask(ctx, q, o.Dir, x, wanted)
	if err != nil {
		return nil, err
	}
	l.Source = repos[0].source()
	for _, r := range repos[1:] {
		l.Updates = append(l.Updates, r.source())
	}
	slices.SortFunc(l.Updates, func(a, b lock.Source) int { return strings.Compare(a.Suite+" "+a.Mirror, b.Suite+" "+b.Mirror) })
	if l.Packages, err = x.packages(choices, l.Source.Mirror); err != nil {
		return nil, err
	}
	if err := checkParent(q, choices); err != nil {
		return nil, err
	}
	o.Sink.Update(progress.Update{Stage: "solve", Item: q.Recipe, Done: int64(len(l.Packages)), Total: int64(len(l.Packages)), Unit: "packages", End: true})
	return l, nil
}

// withEssentials adds the essential packages that are not wanted already, at
// whatever version.
func withEssentials(wanted, essential []string) []string {
	have := map[string]bool{}
	for _, w := range wanted {
		name, _, _ := strings.Cut(w, "=")
		have[name] = true
	}
	for _, e := range essential {
		if !have[e] {
			wanted = append(wanted, e)
		}
	}
	return wanted
}

// ask runs apt in a private root that is gone afterwards.
func ask(ctx context.Context, q lock.Question, dir string, x *index, wanted []string) ([]choice, error) {
	tmp, done, err := makeRoot(dir)
	if err != nil {
		return nil, err
	}
	defer done()
	names := make([]string, 0, len(wanted))
	for _, w := range wanted {
		name, _, _ := strings.Cut(w, "=")
		names = append(names, name)
	}
	root, err := newAptRoot(tmp, q.Arch, x.statusText(q.Parent), x.reachable(names, q.Recommends))
	if err != nil {
		return nil, err
	}
	return root.simulate(ctx, wanted, q.Recommends)
}

// packages looks the choices up, with URLs below mirror made relative.
func (x *index) packages(choices []choice, mirror string) ([]lock.Package, error) {
	out := make([]lock.Package, 0, len(choices))
	for _, c := range choices {
		p, err := x.find(c.name, c.version, c.arch)
		if err != nil {
			return nil, fmt.Errorf("apt chose what the archive does not have: %w", err)
		}
		p.URL = strings.TrimPrefix(p.URL, mirror+"/")
		out = append(out, p)
	}
	slices.SortFunc(out, func(a, b lock.Package) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
}

// checkParent refuses an answer that replaces packages of a parent image: the
// child could not be laid over it. On the host there is no such rule, as what
// lies over it hides what it has.
func checkParent(q lock.Question, choices []choice) error {
	if q.Host {
		return nil
	}
	var replaced []string
	for _, c := range choices {
		if c.replaces != "" {
			replaced = append(replaced, fmt.Sprintf("%s %s by %s", c.name, c.replaces, c.version))
		}
	}
	if len(replaced) == 0 {
		return nil
	}
	if n := len(replaced); n > 10 {
		replaced = append(replaced[:10], fmt.Sprintf("and %d more", n-10))
	}
	return fmt.Errorf("%w: %s; lock the parent of %s again, so that both have the same versions", ErrReplacesParent, strings.Join(replaced, ", "), q.Recipe)
}
