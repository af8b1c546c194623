package main

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"ninefold/cmd/internal/exit"
	"ninefold/cmd/internal/show"
	"ninefold/roots/image"
	"ninefold/roots/store"
	"ninefold/roots/trust"
)

func (a *app) imageSign() *cobra.Command {
	var key, expires string
	var packages bool
	c := &cobra.Command{
		Use:   "sign IMAGE --key NAME",
		Short: "Sign an image, its packages and its name with a key",
		Long: `sign signs each package and each image of the chain, and that the name IMAGE stands
for this image. With --packages it signs the packages alone: the word of somebody
who built them too and got the same.`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.completeImage,
		RunE: func(c *cobra.Command, args []string) error {
			if key == "" {
				return exit.Usagef("usage: "+c.UseLine(), "image sign: no key is named")
			}
			o := trust.Signing{Created: time.Now(), PackagesOnly: packages}
			if expires != "" {
				var err error
				if o.Expires, err = trust.ParseDate(expires); err != nil {
					return exit.Usagef("", "image sign: %v", err)
				}
			}
			k, err := a.manager().PrivateKey(key)
			if err != nil {
				return err
			}
			return a.inStore(func(s *store.Store) error {
				id, err := s.Resolve(args[0])
				if err != nil {
					return err
				}
				tags, err := s.Tags()
				if err != nil {
					return err
				}
				if tags[args[0]] == id {
					o.Reference = args[0] // and not an id, which is no name
				}
				done, err := trust.Sign(c.Context(), s, k, id, o)
				if err != nil {
					return fmt.Errorf("sign %s: %w", args[0], err)
				}
				if a.json {
					return show.JSON(a.Out, done)
				}
				text := "signed " + count(done.Packages, "package", "packages")
				if done.Images > 0 {
					text += ", " + count(done.Images, "image", "images")
				}
				if done.Tag != "" {
					text += fmt.Sprintf(" and %s, version %d", done.Tag, done.Version)
				}
				_, err = fmt.Fprintln(a.Out, text)
				return err
			})
		},
	}
	c.Flags().StringVar(&key, "key", "", "the `NAME` or path of the private key")
	c.Flags().StringVar(&expires, "expires", "", "the `DATE` after which the name is to be signed anew")
	c.Flags().BoolVar(&packages, "packages", false, "sign the packages alone")
	_ = c.RegisterFlagCompletionFunc("key", a.completeKey) // fails for a flag that is not there alone
	return a.jsonFlag(c)
}

func (a *app) imageTag() *cobra.Command {
	return &cobra.Command{
		Use:               "tag IMAGE NAME",
		Short:             "Give an image one more name, in place of what had it",
		Args:              cobra.ExactArgs(2),
		ValidArgsFunction: a.completeImage,
		RunE: func(_ *cobra.Command, args []string) error {
			if !image.ValidReference(args[1]) {
				return exit.Usagef("names are like gaming and steve/gaming:2026-11", "image tag: %q is not a name", args[1])
			}
			return a.inStore(func(s *store.Store) error {
				id, err := s.Resolve(args[0])
				if err != nil {
					return err
				}
				return s.Tag(args[1], id)
			})
		},
	}
}

func (a *app) imageForget() *cobra.Command {
	return &cobra.Command{
		Use:               "forget NAME",
		Short:             "Forget the newest version of a name that was seen, so that an older one is accepted",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.completeImage,
		RunE: func(_ *cobra.Command, args []string) error {
			return a.inStore(func(s *store.Store) error { return s.ForgetSeen(args[0]) })
		},
	}
}

// checkTrust looks whether the images may be used by these names, and returns
// the first refusal. When told, it says who signed them.
func (a *app) checkTrust(c *cobra.Command, s *store.Store, named map[string]image.ID, told bool) error {
	p, err := a.manager().Trust()
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(named)) {
		v, err := p.Check(c.Context(), s, name, named[name], time.Now())
		if err != nil {
			return err
		}
		if told && !a.json {
			if _, err := fmt.Fprintf(a.Out, "%s: %s\n", name, v); err != nil {
				return err
			}
		}
	}
	return nil
}
