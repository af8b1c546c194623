package main

import (
	"github.com/spf13/cobra"
)

// forms are those of roots/export, which this program does not link.
var forms = []string{"dir", "tar", "oci", "squashfs", "erofs"}

func (a *app) imageExport() *cobra.Command {
	c := &cobra.Command{
		Use:   "export IMAGE --to FORM FILE | export --media DIR IMAGE...",
		Short: "Write an image as one file, or as a directory",
		Long: `export writes what an image and its ancestors hold: as a directory (dir), a tar, an
archive that container engines load (oci; a directory where FILE ends in a slash), or a file system
(squashfs, erofs). The same image gives the same bytes. FILE appears whole or not at all.

With --media it lays images beside an installer: a directory with the images, their signatures and
recipes, the files of the keys that this machine trusts, and a text that says what to type on a machine
that has no network.`,
		Args:              cobra.MinimumNArgs(1),
		ValidArgsFunction: a.completeImageThenFile,
		RunE:              func(c *cobra.Command, args []string) error { return outside(c, args, "export") },
	}
	c.Flags().String("to", "", "what to write: dir, tar, oci, squashfs or erofs, as `FORM`")
	c.Flags().String("media", "", "write all the images into the new directory `DIR`, for a machine without network")
	c.Flags().String("profiles", "", "lay the profiles `NAME,...` beside the images, with --media")
	_ = c.MarkFlagDirname("media")                                                                            // fails for a flag that is not there alone
	_ = c.RegisterFlagCompletionFunc("to", cobra.FixedCompletions(forms, cobra.ShellCompDirectiveNoFileComp)) // fails for a flag that is not there alone
	return a.jsonFlag(c)
}

// completeImageThenFile completes the name of an image and then of a file.
func (a *app) completeImageThenFile(c *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
	if len(args) == 0 || c.Flags().Changed("media") {
		return a.completeImage(c, args, word)
	}
	return nil, cobra.ShellCompDirectiveDefault
}

func (a *app) imageImport() *cobra.Command {
	c := &cobra.Command{
		Use:   "import FILE|DIRECTORY|docker://REFERENCE | import --media DIR",
		Short: "Bring an image from a file, or one of containers from anywhere",
		Long: `import brings what image export --to oci wrote, with its signatures. Of others it takes
images of containers (a registry's, an OCI layout, what docker save writes) and whole roots (a tar,
a squashfs or erofs file, a directory); these are unpacked by Ninefold itself, and become one package. They carry
no signature: trust.toml has to allow them, or --sign signs them.

With --media it brings all images of a directory that image export --media wrote, each only if this machine
trusts who signed it. Nothing else in the directory is used.`,
		Args: cobra.MaximumNArgs(1),
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return nil, cobra.ShellCompDirectiveDefault
		},
		RunE: func(c *cobra.Command, args []string) error { return outside(c, args, "import") },
	}
	c.Flags().String("name", "", "what to call the image, in place of what it is called where it lies")
	c.Flags().Int("layer", 0, "bring only what layer `N` of an image of containers holds, counted from 1")
	c.Flags().String("sign", "", "sign it with the private key of that `NAME` or path")
	_ = c.RegisterFlagCompletionFunc("sign", a.completeKey) // fails for a flag that is not there alone
	c.Flags().String("user-agent", "", "what to tell the registry that we are")
	c.Flags().String("media", "", "bring all images of the directory `DIR` that image export --media wrote")
	_ = c.MarkFlagDirname("media") // fails for a flag that is not there alone
	return a.jsonFlag(c)
}
