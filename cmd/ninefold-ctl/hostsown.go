package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"ninefold/cmd/internal/exit"
	"ninefold/internal/regular"
	"ninefold/namespaces/plan"
	"ninefold/sessiond/manager"
)

// hostsOwn is what passwd, crontab and their like do in a view, where this
// program has their names: they refuse, rather than change what is thrown away.
func hostsOwn(called string) error {
	name := filepath.Base(called)
	if !manager.HostsOwn(name) {
		return nil
	}
	// Only a view has that file; by a name like that outside of one this is an
	// installation that went wrong.
	where := "here"
	if b, err := regular.Read(plan.SessionFile, 4096); err == nil {
		for line := range strings.Lines(string(b)) {
			if profile, ok := strings.CutPrefix(strings.TrimSpace(line), "profile="); ok {
				where = "in a session of profile " + plain(profile)
			}
		}
	}
	return &exit.Error{Code: exit.NotPermitted,
		Err:  fmt.Errorf("%s: not %s: accounts and timed jobs are the host's, and what it would change goes with the session", name, where),
		Hint: "`sessionctl host " + name + "` does it there, where the administrator allows that; so does a login without a profile"}
}

// calledAs is the name of this program as it was called.
func calledAs() string {
	if len(os.Args) == 0 {
		return ""
	}
	return os.Args[0]
}
