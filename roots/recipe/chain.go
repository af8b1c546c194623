package recipe

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"ninefold/internal/tomlfile"
)

// Sentinel errors of Set.
var (
	ErrNotFound  = errors.New("no such recipe")
	ErrDuplicate = errors.New("two recipes of one name")
	ErrCycle     = errors.New("recipes are each other's parents")
)

// Set is recipes by name.
type Set struct{ byName map[string]*Recipe }

// NewSet returns the set of the given recipes. Two of one name are an error
// that names both files.
func NewSet(recipes ...*Recipe) (*Set, error) {
	s := &Set{byName: make(map[string]*Recipe, len(recipes))}
	var errs tomlfile.Errors
	for _, r := range recipes {
		if other := s.byName[r.Name]; other != nil {
			errs = append(errs, r.places.Error(ErrDuplicate, fmt.Sprintf("recipe %q stands in %s already", r.Name, other.File), "name"))
			continue
		}
		s.byName[r.Name] = r
	}
	if len(errs) > 0 {
		return nil, errs
	}
	return s, nil
}

// Names returns the names in the set, sorted.
func (s *Set) Names() []string { return slices.Sorted(maps.Keys(s.byName)) }

// Get returns a recipe; ErrNotFound with the nearest name when there is none.
func (s *Set) Get(name string) (*Recipe, error) {
	if r := s.byName[name]; r != nil {
		return r, nil
	}
	return nil, fmt.Errorf("%w: %q%s", ErrNotFound, name, s.hint(name))
}

func (s *Set) hint(name string) string {
	if near := tomlfile.Nearest(name, append(s.Names(), HostName)); near != "" {
		return fmt.Sprintf("; did you mean %q?", near)
	}
	if len(s.byName) == 0 {
		return "; there are no recipes at all"
	}
	return "; there are " + strings.Join(s.Names(), ", ")
}

// Chain is a recipe with its ancestors, root first.
type Chain []*Recipe

// Chain follows From from the named recipe to its root. "host" ends a chain
// and is not part of it (Chain.OnHost); nor is an image (Chain.OnImage).
func (s *Set) Chain(name string) (Chain, error) {
	r, err := s.Get(name)
	if err != nil {
		return nil, err
	}
	chain := Chain{r}
	for r.From != "" && r.From != HostName && !isReference(r.From) {
		parent := s.byName[r.From]
		if parent == nil {
			return nil, r.places.Error(ErrNotFound, fmt.Sprintf("recipe %q comes from %q, which is not there%s", r.Name, r.From, s.hint(r.From)), "from")
		}
		if i := slices.Index(chain, parent); i >= 0 {
			return nil, r.places.Error(ErrCycle, "recipes go round in a circle: "+circle(chain[i:]), "from")
		}
		chain = append(chain, parent)
		r = parent
	}
	slices.Reverse(chain)
	return chain, nil
}

func circle(chain Chain) string {
	names := make([]string, 0, len(chain)+1)
	for _, r := range chain {
		names = append(names, r.Name)
	}
	return strings.Join(append(names, chain[0].Name), " -> ")
}

// OnHost reports whether the chain stands on the running machine.
func (c Chain) OnHost() bool { return c[0].From == HostName }

// OnImage returns the reference of the image that the chain stands on, "" when
// it stands on none.
func (c Chain) OnImage() string {
	if isReference(c[0].From) {
		return c[0].From
	}
	return ""
}

// isReference reports whether from is an image's reference and no recipe's name.
func isReference(from string) bool {
	return strings.ContainsAny(from, "/:@") && len(from) <= maxFrom && referenceRule.MatchString(from)
}

// maxFrom bounds a reference with its digest, in bytes.
const maxFrom = 400

// Last returns the recipe the chain is for.
func (c Chain) Last() *Recipe { return c[len(c)-1] }

// Source returns the source of the last recipe, with what it leaves open
// taken from its ancestors: a recipe without suite, directory or tarball takes
// its packages from the nearest suite above it, and each of components,
// mirror, keyring, recommends and updates that it does not say, too. A recipe
// with a suite of its own inherits only recommends and updates: another
// suite's mirror and keys mean nothing to it. A directory or tarball is its
// recipe's own content and is not inherited.
func (c Chain) Source() Source {
	own := c.Last().Source
	if own.Directory != "" || own.Tarball != "" {
		return own
	}
	for i := len(c) - 2; i >= 0; i-- {
		up := c[i].Source
		if up.Directory != "" || up.Tarball != "" {
			continue
		}
		if own.Recommends == nil {
			own.Recommends = up.Recommends
		}
		if own.Updates == nil {
			own.Updates = up.Updates
		}
		if own.Suite != "" {
			continue
		}
		own.Suite = up.Suite
		if own.Components == nil {
			own.Components = up.Components
		}
		if own.Mirror == "" {
			own.Mirror = up.Mirror
		}
		if own.Keyring == "" {
			own.Keyring = up.Keyring
		}
		own.AllowExpired = own.AllowExpired || up.AllowExpired
	}
	if own.Suite != "" && len(own.Components) == 0 {
		own.Components = []string{"main"}
	}
	return own
}
