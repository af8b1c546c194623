package main

import "github.com/spf13/cobra"

func (a *app) imagePush() *cobra.Command {
	c := &cobra.Command{
		Use:   "push IMAGE [REGISTRY/NAME:TAG]",
		Short: "Send an image and its ancestors to an OCI registry",
		Long: `push sends what the registry lacks, a blob for each package. The same reference
is an image for container engines. Credentials are those of podman and docker.
With --signatures it adds the signatures that this machine has over an image to
those that are there, and sends nothing else.`,
		Args:              cobra.RangeArgs(1, 2),
		ValidArgsFunction: a.completeImage,
		RunE:              func(c *cobra.Command, args []string) error { return outside(c, args, "push") },
	}
	c.Flags().Bool("signatures", false, "send signatures alone, over an image that is there already")
	c.Flags().String("user-agent", "", "what to tell the registry that we are")
	return a.jsonFlag(c)
}

func (a *app) imagePull() *cobra.Command {
	c := &cobra.Command{
		Use:   "pull REGISTRY/NAME:TAG",
		Short: "Bring an image and its ancestors from an OCI registry",
		Long: `pull brings what the store lacks, and checks each file against the hash that its
package names. A pull that was ended goes on when it is started again.`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE:              func(c *cobra.Command, args []string) error { return outside(c, args, "pull") },
	}
	c.Flags().String("user-agent", "", "what to tell the registry that we are")
	return a.jsonFlag(a.inBackground(c))
}
