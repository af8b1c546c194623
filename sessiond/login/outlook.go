package login

import (
	"context"
	"fmt"

	"ninefold/sessiond/api"
	"ninefold/sessiond/door"
)

// Outlook says what a login of user would get, and why, without making
// anything. It is what the door would be told, up to whether the view can be
// made.
func (l *Logins) Outlook(ctx context.Context, user, choice string) (api.Outlook, error) {
	u, err := l.users.ByName(ctx, user)
	if err != nil {
		return api.Outlook{}, err
	}
	out := api.Outlook{User: u.Name, UID: u.UID}
	r := door.Request{Op: door.Session, UID: u.UID, User: u.Name, Choice: choice}
	state := l.config.State()
	if why := l.never(r, state.Config.Login); why != "" {
		out.Why = "stays on the host: " + why
		return out, nil
	}
	p, _, err := l.pick(ctx, state, r)
	if err != nil {
		out.Why, out.Refused = reason(err), state.Config.Login.Deny()
		return out, nil
	}
	m := l.views.Manager(u.UID)
	switch {
	case m != nil && beside(m, p) && l.views.Second():
		out.Profile, out.Why = p.profile.Name, "with a user manager of its own, since that of user@.service runs on the host"
		if m.View != nil {
			out.Why = "with a user manager of its own, since that of user@.service runs in profile " + m.View.Profile()
		}
	case m != nil && m.View != nil && (p.profile == nil || p.profile.Name != m.View.Profile()):
		out.Profile, out.View = m.View.Profile(), m.View.ID()
		out.Why = "the user's manager runs in this view, and there is one view behind one bus"
		if p.explicit {
			out.Profile, out.View = "", ""
			out.Why = fmt.Sprintf("stays on the host: the user's manager runs in profile %s", m.View.Profile())
			out.Refused = state.Config.Login.Deny() && p.profile != nil
		}
	case m != nil && m.View == nil && p.profile != nil:
		out.Why = fmt.Sprintf("stays on the host: the user's manager runs there, and profile %s has to wait for its end", p.profile.Name)
		out.Refused = state.Config.Login.Deny()
	case p.profile == nil:
		out.Why = "stays on the host: no profile applies"
	default:
		out.Profile, out.Why = p.profile.Name, "the default of "+u.Name
		if p.explicit {
			out.Why = "chosen"
		}
		if m != nil {
			out.View = m.View.ID()
		}
	}
	if p.note != "" {
		out.Why = p.note + "; " + out.Why
	}
	return out, nil
}
