package desktops

import (
	"testing"

	"ninefold/tests/machine"
)

// TestDesktops logs in to every desktop on each machine, opens a terminal by
// what the desktop has for that, and types into it.
func TestDesktops(t *testing.T) {
	machine.Able(t)
	of := wanted(t)
	state := images(t, of)
	for _, suite := range machine.Suites {
		t.Run(suite, func(t *testing.T) {
			b := machine.Boot(t, suite, machine.Options{State: state, Set: machine.Greeters})
			if err := b.Install(t.Context(), top(t)); err != nil {
				t.Fatal(err)
			}
			for i := range of {
				d := &of[i]
				t.Run(d.name(), func(t *testing.T) {
					s := take(t, b, d, "bob")
					defer s.leave()
					s.use(d)
				})
			}
		})
	}
}

func (s *seat) use(d *desktop) {
	host := s.Must("readlink", "/proc/1/ns/mnt")
	var on screen
	s.enter(func() { on = d.open(d, s) })
	on.usable()
	on.terminal()
	p := s.proven(on)
	if p["marker"] != d.name() || p["debian"] != d.debian || p["mnt"] == host || p["mnt"] == "" {
		s.t.Errorf("a terminal of the desktop is not in the view: %v", p)
	}
	s.allIn(p["mnt"], d.runs...)
	s.look(on.picture())
	if list := s.Must("loginctl", "list-sessions", "--no-legend"); list == "" {
		s.t.Errorf("logind knows no session")
	}
}
