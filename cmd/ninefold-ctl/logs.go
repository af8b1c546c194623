package main

import (
	"fmt"
	"os"
	"os/exec"
	"regexp"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"ninefold/cmd/internal/exit"
	"ninefold/sessiond/broker/wire"
)

// viewID is what the daemon makes ids of. Nothing else comes near a pattern.
var viewID = regexp.MustCompile(`^[0-9]+-[0-9a-z]+$`)

func (a *app) logs() *cobra.Command {
	var follow, host bool
	c := &cobra.Command{
		Use:   "logs [--follow] [--host] [VIEW]",
		Short: "Show what the daemon and the login path wrote to the journal",
		Long: `logs starts journalctl on what sessiond, pam_ninefold and ninefold-enter wrote;
with VIEW, on what they wrote of that view, which may be over. With --host it is
what was asked for by sessionctl host, and what came of it.`,
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: a.completeView,
		RunE: func(_ *cobra.Command, args []string) error {
			program, err := exec.LookPath("journalctl")
			if err != nil {
				return &exit.Error{Code: exit.NotSupported, Err: err, Hint: "the logs are where the output of sessiond goes"}
			}
			argv, err := journal(follow, host, args)
			if err != nil {
				return err
			}
			err = unix.Exec(program, argv, os.Environ())
			return fmt.Errorf("start %s: %w", program, err)
		},
	}
	c.Flags().BoolVar(&host, "host", false, "show the commands that sessions ran on the host, or were denied")
	c.Flags().BoolVarP(&follow, "follow", "f", false, "go on with what is written from now on")
	return c
}

// journal is journalctl's command line. "+" stands for or; the pattern then
// picks ours out of what PAM modules write (facility authpriv) in the name of
// whichever program has loaded them.
func journal(follow, host bool, args []string) ([]string, error) {
	argv := []string{"journalctl", "--quiet"}
	if follow {
		argv = append(argv, "--follow")
	}
	if host {
		argv = append(argv, "MESSAGE_ID="+wire.MessageID, "_UID=0")
		if len(args) > 0 {
			if !viewID.MatchString(args[0]) {
				return nil, exit.Usagef("sessionctl list shows the live views", "logs: %q is no view", args[0])
			}
			argv = append(argv, "NINEFOLD_VIEW="+args[0])
		}
		return argv, nil
	}
	pattern := "ninefold|sessiond|level="
	match := []string{"_SYSTEMD_UNIT=sessiond.service", "+", "UNIT=sessiond.service", "+", "SYSLOG_FACILITY=10", "+", "SYSLOG_IDENTIFIER=ninefold-enter"}
	if len(args) > 0 {
		if !viewID.MatchString(args[0]) {
			return nil, exit.Usagef("sessionctl list shows the live views", "logs: %q is no view", args[0])
		}
		pattern = args[0] + `\b`
		scope := "ninefold-view-" + args[0] + ".scope"
		match = append(match, "+", "UNIT="+scope, "+", "_SYSTEMD_UNIT="+scope)
	}
	return append(append(argv, "--grep="+pattern), match...), nil
}
