package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/spf13/pflag"

	"ninefold/cmd/internal/exit"
	"ninefold/cmd/internal/show"
	"ninefold/roots/osv"
	"ninefold/roots/store"
	"ninefold/sessiond/manager"
)

// importHoles is image osv import.
func importHoles(ctx context.Context, args []string) error {
	if len(args) == 0 || args[0] != "import" {
		return exit.Usagef("usage: sessionctl image osv import PATH", "image osv: it imports, and nothing else")
	}
	return inStore("osv import", args[1:], func(*pflag.FlagSet) {}, func(r *request, m *manager.Manager, s *store.Store, args []string) error {
		if len(args) != 1 {
			return exit.Usagef("usage: sessionctl image osv import PATH", "image osv import: %d arguments", len(args))
		}
		did, err := osv.Import(ctx, args[0], osv.File(m.State()), time.Now(), s.Progress())
		if err != nil {
			return err
		}
		if r.json {
			return show.JSON(os.Stdout, did)
		}
		for _, why := range did.Problems {
			fmt.Fprintf(os.Stderr, "sessionctl: left out: %s\n", why)
		}
		if more := did.Left - len(did.Problems); more > 0 {
			fmt.Fprintf(os.Stderr, "sessionctl: left out: %d more\n", more)
		}
		_, err = fmt.Printf("%d holes in packages of Debian; %d records say nothing of it, %d could not be read\n", did.Holes, did.Others, did.Left)
		return err
	})
}
