package doctor

import (
	"fmt"

	"ninefold/sessiond/aliases"
)

// aliases looks whether sshd knows people as PERSON+PROFILE, where the
// configuration wants that. Without it they log in by their names.
func (l Login) aliases() []Finding {
	if l.Aliases == nil {
		return nil
	}
	// A mistake in the file is a finding of its own.
	if wanted, err := l.Aliases(); err != nil || !wanted {
		return nil
	}
	f := l.ok("ssh NAME+PROFILE", "")
	why, _ := aliases.Obstacle(l.Root)
	records, err := aliases.Records(l.path(aliases.Dir))
	switch {
	case why != "":
		f.State, f.Detail, f.Then = Fallback, why, "ssh knows people by their own names alone"
	case err != nil:
		f.State, f.Detail = Unknown, err.Error()
	case len(records) == 0:
		f.State, f.Detail = Fallback, "there are none"
		f.Then = "name profiles in choose under [login], and see systemctl status sessiond, which keeps the names"
	default:
		f.Detail = fmt.Sprintf("%d names", len(records))
	}
	return []Finding{f}
}
