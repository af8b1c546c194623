package main

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"ninefold/cmd/internal/exit"
	"ninefold/roots/image"
	"ninefold/roots/inventory"
	"ninefold/roots/osv"
	"ninefold/roots/store"
	"ninefold/sessiond/api"
	"ninefold/sessiond/bus/remote"
	"ninefold/sessiond/profile"
)

// located is a package that was found in an image, and who uses the image.
type located struct {
	inventory.Match
	// Profiles are those that name the image.
	Profiles []string `json:"profiles"`
	// Views are the live views that have a layer of one of its names; null when
	// nothing is known of views.
	Views []string `json:"views"`
}

func (a *app) imageFind() *cobra.Command {
	var query, file, cve string
	c := &cobra.Command{
		Use:   "find --package QUERY | --file PATH | --cve ID",
		Short: "Print which images, profiles and live views have a package, a file or a hole",
		Long: `find looks through all images of the store. QUERY is the name of a package, and
perhaps a version after =, <, <=, > or >=, as in 'openssl<3.0.15'. PATH is absolute.
ID is a CVE, or another name of a hole in Debian's packages that image osv import knows.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			asked := query + file + cve
			if asked == "" || asked != query && asked != file && asked != cve {
				return exit.Usagef("usage: "+c.UseLine(), "image find: one of --package, --file and --cve is needed")
			}
			var holes []*osv.Hole
			if cve != "" {
				var err error
				if holes, err = a.holes(cve); err != nil {
					return err
				}
			}
			return a.inStore(func(s *store.Store) error {
				w, err := inventory.Load(c.Context(), s)
				if err != nil {
					return err
				}
				var found []inventory.Match
				switch {
				case cve != "":
					found, err = w.Holes(c.Context(), holes)
				case file != "":
					found, err = w.File(c.Context(), file)
				default:
					var q inventory.Query
					if q, err = inventory.ParseQuery(query); err == nil {
						found = w.Packages(q)
					}
				}
				if errors.Is(err, inventory.ErrQuery) {
					return exit.Usagef("usage: "+c.UseLine(), "image find: %w", err)
				}
				if err != nil {
					return err
				}
				if len(found) == 0 {
					return &exit.Error{Code: exit.NotFound, Err: fmt.Errorf("image find: no image has %s", asked)}
				}
				return a.tellFound(c, s, found)
			})
		},
	}
	c.Flags().StringVar(&query, "package", "", "look for the package of that name and version: `QUERY`")
	c.Flags().StringVar(&file, "file", "", "look for the file at that absolute `PATH`")
	c.Flags().StringVar(&cve, "cve", "", "look for packages with the hole of that `ID`")
	return a.jsonFlag(c)
}

// holes returns what the imported records say of a hole.
func (a *app) holes(name string) ([]*osv.Hole, error) {
	d, err := osv.Open(osv.File(a.manager().State()))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &exit.Error{Code: exit.NotFound, Hint: "sessionctl image osv import PATH brings what osv.dev knows of Debian", Err: errors.New("image find: no records of holes were imported")}
	}
	if err != nil {
		return nil, fmt.Errorf("image find: %w", err)
	}
	found, err := d.Named(name)
	if err == nil && len(found) == 0 {
		err = &exit.Error{Code: exit.NotFound, Hint: "sessionctl image osv import PATH brings newer ones", Err: fmt.Errorf("image find: the records of %s know no %s in Debian's packages", d.Imported.Format(time.DateOnly), name)}
	}
	return found, err
}

func (a *app) tellFound(c *cobra.Command, s *store.Store, found []inventory.Match) error {
	profiles := a.profilesOn(s)
	views, known := a.viewsNow(c)
	out := []located{}
	var rows [][]string
	for _, m := range found {
		l := located{Match: m, Profiles: append([]string{}, profiles[m.ID]...)}
		if known {
			l.Views = viewsOn(s, views, m)
		}
		out = append(out, l)
		name := strings.Join(m.Names, ", ")
		if name == "" {
			name = "(" + m.Image + ")"
		}
		row := []string{name, m.Package, dash(m.Version), m.By, dash(strings.Join(l.Profiles, ", ")), dash(strings.Join(l.Views, ", "))}
		if m.Hole != "" {
			row = slices.Insert(row, 3, dash(m.Fixed))
		}
		rows = append(rows, row)
	}
	head := []string{"IMAGE", "PACKAGE", "VERSION", "BROUGHT BY", "PROFILES", "VIEWS"}
	if found[0].Hole != "" {
		head = slices.Insert(head, 3, "FIXED IN")
	}
	return a.list(out, head, rows)
}

// profilesOn returns the profiles by the images that they name. One that cannot
// be used, or names an image that is not there, starts no session on any.
func (a *app) profilesOn(s *store.Store) map[image.ID][]string {
	on := map[image.ID][]string{}
	for _, e := range a.manager().Profiles().List() {
		if e.Err != nil {
			continue
		}
		for _, name := range append([]string{e.Profile.Base, e.Profile.Runtime}, e.Profile.Components...) {
			if name == profile.HostBase || !profile.IsImage(name) {
				continue
			}
			id, err := s.Resolve(name)
			if err == nil && !slices.Contains(on[id], e.Name) {
				on[id] = append(on[id], e.Name)
			}
		}
	}
	return on
}

// viewsNow returns the live views, if the daemon answers. It keeps one store:
// nothing is known of views on another.
func (a *app) viewsNow(c *cobra.Command) (views []api.View, known bool) {
	if a.state != "" {
		return nil, false
	}
	err := withDaemon(c.Context(), func(d *remote.Daemon) (err error) {
		views, _, err = d.All(c.Context())
		return err
	})
	if err != nil {
		fmt.Fprintf(a.Err, "sessionctl: live views are not known: %v\n", err)
	}
	return views, err == nil
}

// viewsOn returns the views with a layer that is called as the image of m is, or
// was. A name may have moved since a view began: rather one too many than one too few.
func viewsOn(s *store.Store, views []api.View, m inventory.Match) []string {
	on := []string{}
	for _, v := range views {
		if slices.ContainsFunc(v.Layers, func(l string) bool {
			if l == profile.HostBase || !profile.IsImage(l) {
				return false
			}
			id, err := s.Resolve(l)
			return l == m.Image || err == nil && id == m.ID
		}) {
			on = append(on, v.ID)
		}
	}
	return on
}
