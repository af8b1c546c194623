package main

import "github.com/spf13/cobra"

func (a *app) imageOSV() *cobra.Command {
	c := &cobra.Command{Use: "osv", Short: "What is known of holes in packages"}
	c.AddCommand(a.jsonFlag(&cobra.Command{
		Use:   "import PATH",
		Short: "Read records of holes in Debian's packages, in place of those that are known",
		Long: `import reads records in the OSV format for image find --cve and image outdated: a
directory of .json files, a zip or tar archive of such, or one of them. osv.dev gives
all of Debian's as one zip. What is not about Debian is left out.`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error { return outside(c, args, "osv", "import") },
	}))
	return c
}

func (a *app) imageOutdated() *cobra.Command {
	c := &cobra.Command{
		Use:   "outdated [IMAGE]...",
		Short: "Print which packages of images have newer versions in their archives",
		Long: `outdated asks the archives that the lock files of the images name, and changes
nothing; without IMAGE it looks at all. With records of image osv import it says
which known holes a newer version mends.`,
		ValidArgsFunction: a.completeImage,
		RunE:              func(c *cobra.Command, args []string) error { return outside(c, args, "outdated") },
	}
	c.Flags().Bool("offline", false, "ask what was kept of the archives when they were asked last")
	return a.jsonFlag(c)
}
