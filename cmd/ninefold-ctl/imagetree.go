package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"ninefold/cmd/internal/exit"
	"ninefold/roots/image"
	"ninefold/roots/store"
)

// branch is an image of the tree, with those that are built on it.
type branch struct {
	Names    []string  `json:"names"` // tags; none for what no name stands for
	Image    string    `json:"image"` // what its recipe calls it
	ID       image.ID  `json:"id"`
	Packages int       `json:"packages"`
	Asked    bool      `json:"asked,omitempty"`
	Children []*branch `json:"children,omitempty"`
}

func (a *app) imageTree() *cobra.Command {
	return a.jsonFlag(&cobra.Command{
		Use:               "tree [IMAGE]",
		Short:             "Print which images are built on which: the chain of one, and what stands on it",
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: a.completeImage,
		RunE: func(_ *cobra.Command, args []string) error {
			return a.inStore(func(s *store.Store) error {
				roots, all, err := forest(s)
				if err != nil {
					return err
				}
				if len(args) == 1 {
					id, err := s.Resolve(args[0])
					if err != nil {
						return err
					}
					chain, err := s.Chain(id)
					if err != nil {
						return err
					}
					all[id].Asked = true
					for i, m := range chain[:len(chain)-1] {
						all[m.ID()].Children = []*branch{all[chain[i+1].ID()]}
					}
					roots = []*branch{all[chain[0].ID()]}
				}
				var rows [][]string
				grow(&rows, roots, "", "")
				return a.list(roots, []string{"IMAGE", "ID", "PACKAGES"}, rows)
			})
		},
	})
}

// forest returns the images without a parent, and all of them by id.
func forest(s *store.Store) ([]*branch, map[image.ID]*branch, error) {
	tags, err := s.Tags()
	if err != nil {
		return nil, nil, err
	}
	ids, err := s.Images()
	if err != nil {
		return nil, nil, err
	}
	all := map[image.ID]*branch{}
	parents := map[image.ID]image.ID{}
	for _, id := range ids {
		m, err := s.Image(id)
		if err != nil {
			return nil, nil, err
		}
		all[id] = &branch{Image: m.Name, ID: id, Packages: len(m.Packages), Names: []string{}}
		parents[id] = m.Parent
	}
	for _, name := range slices.Sorted(maps.Keys(tags)) {
		if b := all[tags[name]]; b != nil {
			b.Names = append(b.Names, name)
		}
	}
	roots := []*branch{}
	for id, b := range all {
		if up := all[parents[id]]; up != nil {
			up.Children = append(up.Children, b)
		} else {
			roots = append(roots, b)
		}
	}
	order := func(a, b *branch) int { return strings.Compare(a.String()+a.ID.String(), b.String()+b.ID.String()) }
	slices.SortFunc(roots, order)
	for _, b := range all {
		slices.SortFunc(b.Children, order)
	}
	return roots, all, nil
}

func (b *branch) String() string {
	if len(b.Names) == 0 {
		return "(" + b.Image + ")"
	}
	return strings.Join(b.Names, ", ")
}

// grow adds the rows of a level; first is what stands before an image, and
// rest before what is below it.
func grow(rows *[][]string, level []*branch, first, rest string) {
	for i, b := range level {
		last := i == len(level)-1
		name, below := b.String(), rest
		if first != "" {
			mark, bar := "├─ ", "│  "
			if last {
				mark, bar = "└─ ", "   "
			}
			name, below = rest+mark+name, rest+bar
		}
		if b.Asked {
			name += " *"
		}
		*rows = append(*rows, []string{name, b.ID.Short(), fmt.Sprint(b.Packages)})
		grow(rows, b.Children, "-", below)
	}
}

type holder struct {
	Image   string   `json:"image"`
	ID      image.ID `json:"id"`
	Package string   `json:"package"`
	Version string   `json:"version"`
	// By is the image of the chain that brought it in.
	By string `json:"by"`
	// Signed is how many signatures there are over the package, whoever made them.
	Signed int `json:"signed"`
}

func (a *app) imageWhy() *cobra.Command {
	return a.jsonFlag(&cobra.Command{
		Use:   "why PACKAGE",
		Short: "Print which images have a package, in which version, and which image brought it in",
		Args:  cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			return a.inStore(func(s *store.Store) error {
				tags, err := s.Tags()
				if err != nil {
					return err
				}
				found := []holder{}
				var rows [][]string
				for _, name := range slices.Sorted(maps.Keys(tags)) {
					chain, err := s.Chain(tags[name])
					if err != nil {
						return err
					}
					for _, m := range chain {
						for _, p := range m.Packages {
							if p.Name != args[0] {
								continue
							}
							by := m.Name
							signatures, err := s.Signatures(p.Digest)
							if err != nil {
								return err
							}
							found = append(found, holder{name, tags[name], p.Name, p.Version, by, len(signatures)})
							rows = append(rows, []string{name, p.Version, by, fmt.Sprint(len(signatures))})
						}
					}
				}
				if len(found) == 0 {
					return &exit.Error{Code: exit.NotFound, Err: fmt.Errorf("package %s: no image with a name has it", args[0])}
				}
				return a.list(found, []string{"IMAGE", "VERSION", "BROUGHT BY", "SIGNATURES"}, rows)
			})
		},
	})
}
