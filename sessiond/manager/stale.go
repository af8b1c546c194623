package manager

import (
	"fmt"
	"strings"
	"time"

	"ninefold/roots/compat"
	"ninefold/sessiond/decided"
	"ninefold/sessiond/profile"
)

// Stale says why a new view would stand on something else than one that was
// made at that time of these layers, by this plan: nothing when it would not.
func (m *Manager) Stale(layers []string, plan string, made time.Time) (why []string) {
	for _, l := range layers {
		if l == profile.HostBase && compat.Changed(m.host.root).After(made) {
			why = append(why, decided.HostChanged)
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
