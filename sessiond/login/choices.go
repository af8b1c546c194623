package login

import (
	"context"
	"slices"

	"ninefold/sessiond/config"
	"ninefold/sessiond/door"
)

// choices are the profiles that the person of r may be asked for, the default
// first, as strings of a reply's environment. There are none where nothing is to
// be asked: by the configuration, or because there is one alone.
func (l *Logins) choices(ctx context.Context, state *config.State, r door.Request) []string {
	policy := state.Config.Login
	if !policy.Ask {
		return nil
	}
	u, err := l.users.ByUID(ctx, r.UID)
	if err != nil {
		l.log.Warn("nobody is asked for a profile", "uid", r.UID, "error", err)
		return nil
	}
	byDefault := policy.For(u.Name)
	if byDefault == "" {
		byDefault = config.Plain
	}
	var out []string
	for i, name := range append([]string{byDefault}, policy.Choose...) {
		// What there is not is not offered, but what the default is has to be said.
		if _, err := state.Find(name); i > 0 && (err != nil && name != config.Plain || name == byDefault) {
			continue
		}
		if entry := "NINEFOLD_CHOICE=" + name; !slices.Contains(out, entry) {
			out = append(out, entry)
		}
	}
	if len(out) < 2 {
		return nil
	}
	out, left := fit(out)
	if left > 0 {
		l.log.Warn("not all profiles are offered: they do not fit into an answer", "user", u.Name, "left out", left)
	}
	return out
}
