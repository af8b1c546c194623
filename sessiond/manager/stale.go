package manager

import (
	"fmt"
	"strings"
	"time"

	"ninefold/roots/compat"
	"ninefold/sessiond/profile"
)

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
		return hostChanged
	}
	return ""
}

const hostChanged = "the host's packages changed while it ran; start a new session to see them whole"

// Stale says why a new view would stand on something else than one that was
// made at that time of these layers, by this plan: nothing when it would not.
func (m *Manager) Stale(layers []string, plan string, made time.Time) (why []string) {
	for _, l := range layers {
		if l == profile.HostBase && compat.Changed(m.host.root).After(made) {
			why = append(why, hostChanged)
		}
	}
	s, err := m.Store()
	if err != nil {
		return why
	}
	defer s.Close()
	tags, err := s.Tags()
	if err != nil {
		return why
	}
	for _, l := range layers {
		// The names of layers hold the ids of images.
		if id, ok := tags[l]; ok && !strings.Contains(plan, id.String()) {
			why = append(why, fmt.Sprintf("image %s was built anew; start a new session to get it", l))
		}
	}
	return why
}
