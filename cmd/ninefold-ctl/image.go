package main

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"ninefold/cmd/internal/show"
	"ninefold/roots/image"
	"ninefold/roots/store"
)

func (a *app) image() *cobra.Command {
	c := &cobra.Command{Use: "image", Short: "Build, list and look after images"}
	c.AddCommand(a.imageBuild(), a.imageList(), a.imageShow(), a.imageTree(), a.imageWhy(), a.imageDiff(), a.imageFind(), a.imageOSV(), a.imageOutdated(), a.imageSBOM(), a.imageVerify(), a.imageSign(), a.imageTag(), a.imageForget(), a.imagePush(), a.imagePull(), a.imageExport(), a.imageImport(), a.imageRemove(), a.imageGC())
	return c
}

// inStore opens the store for one command.
func (a *app) inStore(f func(*store.Store) error) error {
	s, err := a.manager().Store()
	if err != nil {
		return err
	}
	defer s.Close()
	return f(s)
}

type listed struct {
	Name     string   `json:"name"`
	ID       image.ID `json:"id"`
	Parent   string   `json:"parent,omitempty"`
	Packages int      `json:"packages"` // its own; the parent's are not counted
	Tagged   bool     `json:"tagged"`
}

func (a *app) imageList() *cobra.Command {
	return a.jsonFlag(&cobra.Command{
		Use:   "list",
		Short: "List the images in the store",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			return a.inStore(func(s *store.Store) error {
				images, err := imagesOf(s)
				if err != nil {
					return err
				}
				var rows [][]string
				for _, i := range images {
					name := i.Name
					if !i.Tagged {
						name = "(" + name + ")"
					}
					rows = append(rows, []string{name, i.ID.Short(), i.Parent, strconv.Itoa(i.Packages)})
				}
				return a.list(images, []string{"NAME", "ID", "PARENT", "PACKAGES"}, rows)
			})
		},
	})
}

// imagesOf lists tagged images by tag, then the others.
func imagesOf(s *store.Store) ([]listed, error) {
	tags, err := s.Tags()
	if err != nil {
		return nil, err
	}
	ids, err := s.Images()
	if err != nil {
		return nil, err
	}
	out := []listed{}
	named := map[image.ID]bool{}
	add := func(name string, id image.ID, tagged bool) error {
		m, err := s.Image(id)
		if err != nil {
			return err
		}
		l := listed{Name: name, ID: id, Packages: len(m.Packages), Tagged: tagged}
		if !tagged {
			l.Name = m.Name
		}
		if !m.Parent.IsZero() {
			if p, err := s.Image(m.Parent); err == nil {
				l.Parent = p.Name
			}
		} else if m.Host != "" {
			l.Parent = "host"
		}
		out = append(out, l)
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(tags)) {
		named[tags[name]] = true
		if err := add(name, tags[name], true); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(ids, func(x, y image.ID) int { return slices.Compare(x[:], y[:]) })
	for _, id := range ids {
		if named[id] {
			continue
		}
		if err := add("", id, false); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (a *app) imageShow() *cobra.Command {
	return a.jsonFlag(&cobra.Command{
		Use:               "show IMAGE",
		Short:             "Print an image: its chain, its packages and its environment",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.completeImage,
		RunE: func(_ *cobra.Command, args []string) error {
			return a.inStore(func(s *store.Store) error {
				id, err := s.Resolve(args[0])
				if err != nil {
					return err
				}
				chain, err := s.Chain(id)
				if err != nil {
					return err
				}
				if a.json {
					return show.JSON(a.Out, map[string]any{"id": id, "chain": chain})
				}
				return a.tellChain(chain)
			})
		},
	})
}

func (a *app) tellChain(chain []*image.Manifest) error {
	var rows [][]string
	for _, m := range slices.Backward(chain) {
		if _, err := fmt.Fprintf(a.Out, "image %s  %s\n", m.Name, m.ID()); err != nil {
			return err
		}
		if m.Host != "" {
			fmt.Fprintf(a.Out, "solved against the packages of host %.12s\n", m.Host)
		}
		for _, need := range m.Requires.Said() {
			fmt.Fprintf(a.Out, "requires %s\n", plain(need))
		}
		for _, k := range slices.Sorted(maps.Keys(m.Environment)) {
			fmt.Fprintf(a.Out, "environment %s=%s\n", k, m.Environment[k])
		}
		packages := slices.Clone(m.Packages)
		slices.SortFunc(packages, func(x, y image.Ref) int { return strings.Compare(x.Name, y.Name) })
		for _, p := range packages {
			rows = append(rows, []string{p.Name, p.Version, m.Name, p.Digest.Short()})
		}
	}
	fmt.Fprintln(a.Out)
	return show.Table(a.Out, []string{"PACKAGE", "VERSION", "IMAGE", "DIGEST"}, rows)
}

func (a *app) imageRemove() *cobra.Command {
	return a.inBackground(&cobra.Command{
		Use:               "remove NAME...",
		Short:             "Take the names off images, so that gc deletes what nothing else needs",
		Args:              cobra.MinimumNArgs(1),
		ValidArgsFunction: a.completeImage,
		RunE: func(_ *cobra.Command, args []string) error {
			return a.inStore(func(s *store.Store) error {
				tags, err := s.Tags()
				if err != nil {
					return err
				}
				for _, name := range args {
					if _, ok := tags[name]; !ok {
						return fmt.Errorf("image %s: %w", name, store.ErrNotFound)
					}
				}
				for _, name := range args {
					if err := s.Untag(name); err != nil {
						return err
					}
				}
				return nil
			})
		},
	})
}
