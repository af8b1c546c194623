package login

import (
	"path/filepath"
	"strings"

	"ninefold/internal/regular"
	"ninefold/sessiond/desktop"
	"ninefold/sessiond/door"
)

// chosen is the profile that a request asks for, whichever way it was chosen:
// by name, or by a session entry ("dev+xfce" of ninefold-dev+xfce).
func (l *Logins) chosen(r door.Request) string {
	if r.Choice == "" && (r.Op == door.Prepare || r.Op == door.Session) && isGDM(r.Service) {
		return desktop.ProfileOf(pickedAtGDM(l.accounts, r.User))
	}
	return desktop.ProfileOf(r.Choice)
}

// isGDM reports whether a PAM service is one of gdm's for people.
func isGDM(service string) bool {
	return strings.HasPrefix(service, "gdm-") && service != "gdm-launch-environment"
}

// accountsDir is where AccountsService remembers what each user picked. It is
// root's.
const accountsDir = "/var/lib/AccountsService/users"

// pickedAtGDM is what of the session entry that user picked at gdm asks for a
// profile. gdm does not put it into the PAM environment in time, but it has
// AccountsService save it before it opens the session.
func pickedAtGDM(dir, user string) string {
	if user == "" || strings.HasPrefix(user, ".") || strings.Contains(user, "/") {
		return ""
	}
	text, err := regular.Read(filepath.Join(dir, user), 64<<10)
	if err != nil {
		return "" // nothing was picked yet
	}
	picked := map[string]string{}
	inside := false
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "[") {
			inside = line == "[User]"
		} else if name, value, ok := strings.Cut(line, "="); ok && inside {
			picked[strings.TrimSpace(name)] = strings.TrimSpace(value)
		}
	}
	for _, key := range []string{"Session", "XSession"} {
		if name := picked[key]; name != "" {
			return desktop.ChoiceOf(name)
		}
	}
	return ""
}
