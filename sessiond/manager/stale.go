package manager

import "ninefold/roots/compat"

// hostState is what a session on the host's own root was started over. The
// root's layers are the host's live files: while the host's packages change,
// what is open stays as it was and what is opened later may be of another
// version.
type hostState string

func readHostState() hostState { return hostState(compat.Stamp("/")) }

// since says why a session that was started over s is stale now; "" when it is
// not.
func (s hostState) since() string {
	if readHostState() != s {
		return "the host's packages changed while it ran; start a new session to see them whole"
	}
	return ""
}
