package main

import (
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"ninefold/cmd/internal/exit"
	"ninefold/cmd/internal/show"
	"ninefold/roots/inventory"
	"ninefold/roots/lock"
	"ninefold/roots/pkg"
	"ninefold/roots/store"
)

func (a *app) imageSBOM() *cobra.Command {
	var format string
	c := &cobra.Command{
		Use:   "sbom IMAGE",
		Short: "Print the bill of materials of an image, for programs that look for holes",
		Long: `sbom prints every package of an image and its ancestors, as SPDX 2.3 or CycloneDX
1.6. The same image gives the same text. Hashes of .deb files come from the lock files
beside the recipes; for an image whose lock is not there they are left out.`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.completeImage,
		RunE: func(c *cobra.Command, args []string) error {
			encode := map[string]func(*inventory.Bill) (any, error){
				"spdx": (*inventory.Bill).SPDX, "cyclonedx": (*inventory.Bill).CycloneDX,
			}[format]
			if encode == nil {
				return exit.Usagef("usage: "+c.UseLine(), "image sbom: %q is neither spdx nor cyclonedx", format)
			}
			return a.inStore(func(s *store.Store) error {
				id, err := s.Resolve(args[0])
				if err != nil {
					return err
				}
				b, err := inventory.Billed(c.Context(), s, args[0], id, a.locks())
				if err != nil {
					return fmt.Errorf("image sbom: %w", err)
				}
				document, err := encode(b)
				if err != nil {
					return fmt.Errorf("image sbom: %w", err)
				}
				return show.JSON(a.Out, document)
			})
		},
	}
	c.Flags().StringVar(&format, "format", "spdx", "spdx or cyclonedx: what to write as `FORMAT`")
	_ = c.RegisterFlagCompletionFunc("format", cobra.FixedCompletions([]string{"spdx", "cyclonedx"}, cobra.ShellCompDirectiveNoFileComp)) // fails for a flag that is not there alone
	return c
}

// locks returns the lock files beside the recipes by their digests.
func (a *app) locks() map[pkg.Digest]*lock.Lock {
	var dirs []string
	for _, dir := range a.manager().Config() {
		dirs = append(dirs, filepath.Join(dir, "recipes"))
	}
	return lock.Known(dirs...)
}
