package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"ninefold/cmd/internal/exit"
	"ninefold/cmd/internal/show"
	"ninefold/roots/image"
	"ninefold/roots/store"

	livectx "ninefold/sessiond/contexts"
)

// working opens the store for long work, shown while it runs.
func (a *app) working(f func(*store.Store) error) error {
	return a.inStore(func(s *store.Store) error {
		p := show.NewProgress(a.Err, a.json)
		err := f(s.WithProgress(p))
		p.Close()
		return err
	})
}

func (a *app) imageDiff() *cobra.Command {
	var files bool
	c := &cobra.Command{
		Use:               "diff A B",
		Short:             "Compare two images: packages, and with --files every path",
		Args:              cobra.ExactArgs(2),
		ValidArgsFunction: a.completeImage,
		RunE: func(c *cobra.Command, args []string) error {
			return a.working(func(s *store.Store) error {
				var chains [2][]image.Built
				var manifests [2][]*image.Manifest
				for i, name := range args {
					id, err := s.Resolve(name)
					if err != nil {
						return err
					}
					if manifests[i], err = s.Chain(id); err != nil {
						return err
					}
					if files {
						if chains[i], err = s.Built(c.Context(), manifests[i]); err != nil {
							return err
						}
					}
				}
				d := &image.Difference{Packages: image.DiffPackages(manifests[0], manifests[1]), Files: []image.FileChange{}}
				if files {
					var err error
					if d, err = image.Diff(chains[0], chains[1]); err != nil {
						return err
					}
				}
				return a.tellDifference(d)
			})
		},
	}
	c.Flags().BoolVar(&files, "files", false, "compare every path too")
	return a.jsonFlag(c)
}

func (a *app) tellDifference(d *image.Difference) error {
	if a.json {
		return show.JSON(a.Out, d)
	}
	var rows [][]string
	for _, p := range d.Packages {
		rows = append(rows, []string{p.Name, dash(p.Old), dash(p.New)})
	}
	if err := show.Table(a.Out, []string{"PACKAGE", "FROM", "TO"}, rows); err != nil {
		return err
	}
	rows = nil
	for _, f := range d.Files {
		rows = append(rows, []string{f.Change, "/" + strings.TrimPrefix(f.Path, "/"), strings.Join(f.What, ","), f.Package})
	}
	if len(rows) > 0 && len(d.Packages) > 0 {
		fmt.Fprintln(a.Out)
	}
	return show.Table(a.Out, []string{"CHANGE", "PATH", "WHAT", "PACKAGE"}, rows)
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func (a *app) imageVerify() *cobra.Command {
	var discard bool
	c := &cobra.Command{
		Use:               "verify [IMAGE...]",
		Short:             "Read images again and compare every hash and signature; name what is wrong",
		ValidArgsFunction: a.completeImage,
		RunE: func(c *cobra.Command, args []string) error {
			return a.working(func(s *store.Store) error {
				var ids []image.ID
				named := map[string]image.ID{}
				for _, name := range args {
					id, err := s.Resolve(name)
					if err != nil {
						return err
					}
					ids = append(ids, id)
					named[name] = id
				}
				if len(args) == 0 {
					var err error
					if named, err = s.Tags(); err != nil {
						return err
					}
				}
				damage, err := s.Verify(c.Context(), ids...)
				if err != nil {
					return err
				}
				if a.json {
					if damage == nil {
						damage = []store.Damage{}
					}
					if err := show.JSON(a.Out, damage); err != nil {
						return err
					}
				} else {
					for _, d := range damage {
						fmt.Fprintln(a.Out, d)
					}
				}
				if len(damage) == 0 {
					return a.checkTrust(c, s, named, len(args) > 0)
				}
				hint := "image verify --discard removes what is damaged; building the image again makes it anew"
				if discard {
					if err := s.Discard(damage); err != nil {
						return err
					}
					hint = "it is removed; building the image again makes it anew"
				}
				return &exit.Error{Code: exit.Integrity, Hint: hint, Err: errors.New(count(len(damage), "thing is", "things are") + " damaged")}
			})
		},
	}
	c.Flags().BoolVar(&discard, "discard", false, "remove what is damaged, so that a build makes it anew")
	return a.jsonFlag(a.inBackground(c))
}

func (a *app) imageGC() *cobra.Command {
	return a.jsonFlag(a.inBackground(&cobra.Command{
		Use:   "gc",
		Short: "Delete what no name, session or build needs",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return a.working(func(s *store.Store) error {
				m := a.manager()
				release, err := livectx.Of(m).Hold(s)
				if err != nil {
					return err
				}
				defer release()
				r, err := s.GC(c.Context())
				if err != nil {
					return err
				}
				if err := m.Forget(s); err != nil {
					return err
				}
				if a.json {
					return show.JSON(a.Out, r)
				}
				_, err = fmt.Fprintf(a.Out, "deleted %d images, %d packages, %d objects: %s\n", len(r.Images), r.Packages, r.Objects, show.Bytes(r.Bytes))
				if err == nil && len(r.Kept) > 0 {
					_, err = fmt.Fprintf(a.Out, "kept %d images without a name that sessions or contexts use\n", len(r.Kept))
				}
				return err
			})
		},
	}))
}
