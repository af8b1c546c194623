package desktops

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"ninefold/tests/machine"
)

// guestDesktop is the profile of guests that comes with the project.
const guestDesktop = "guest-xfce"

// TestGuest has a guest work in a whole desktop at lightdm, and nothing of it be
// there afterwards.
func TestGuest(t *testing.T) {
	machine.Able(t)
	of := slices.DeleteFunc(wanted(t), func(d desktop) bool { return d.name() != "xfce" })
	if os.Getenv("NINEFOLD_DESKTOPS") == "" || len(of) == 0 {
		return // make desktops asks for it
	}
	d, state := &of[0], images(t, of)
	for _, suite := range machine.Suites {
		t.Run(suite+"/guest", func(t *testing.T) {
			b := machine.Boot(t, suite, machine.Options{State: state, Set: machine.Greeters})
			if err := b.Install(t.Context(), top(t)); err != nil {
				t.Fatal(err)
			}
			s := &seat{b.For(t), t, "", ""}
			s.Write("/etc/ninefold/ninefold.toml", "[guests]\nprofile = \""+guestDesktop+"\"\nstay = \"6m\"\n")
			s.Must("sessionctl", "guest", "enable", "--service", "lightdm")
			screen, name, err := s.GuestAtLightdm(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			s.user = name
			on := &x{s, d, screen}
			on.usable()
			on.terminal()
			on.typeLine(`echo "$(id -un) $(cat /proc/1/comm)" | tee ~/proof; ls -d /home/* /tmp/.X11-unix/*`)
			s.eventually("the terminal to run something", func() string {
				said := strings.TrimSpace(s.Run("cat", "/proc/"+s.desktopPID()+"/root/home/guest/proof").Stdout)
				if f := strings.Fields(said); len(f) != 2 || f[0] != s.user || f[1] != "ninefold-init" {
					return fmt.Sprintf("it said %q", said)
				}
				return ""
			})
			s.look(on.picture())
			s.guestIsInside(d.runs)
			// In the middle of its time the desktop says that it will be over.
			_, err = screen.Window(t.Context(), 4*time.Minute, "xfce4-notifyd")
			on.check(err)
			s.save("told", on.picture())
			s.Must("pkill", "-u", s.user, "-x", "xfce4-session")
			s.eventually("the guest to be gone", func() string { return s.Run("pgrep", "-u", s.user, "-l").Stdout })
			s.eventually("nothing of the guest to be left", func() string {
				s.Run("sessionctl", "guest", "sweep")
				if line := s.Must("sh", "-c", `sessionctl guest list | grep "^$0 "`, s.user); !strings.Contains(line, " clean ") {
					return line
				}
				return s.Run("sh", "-c", `getent passwd "$0"; find / -xdev -uid "${0#guest-}" 2>/dev/null | head`, s.user).Stdout
			})
		})
	}
}

// desktopPID is the guest's session manager.
func (s *seat) desktopPID() string {
	s.t.Helper()
	return s.Must("pgrep", "-u", s.user, "-x", "xfce4-session")
}

// guestIsInside wants all of the guest's processes in its session, but the one that
// waits for its end.
func (s *seat) guestIsInside(programs []string) {
	s.t.Helper()
	inside := s.Must("readlink", "/proc/"+s.desktopPID()+"/ns/mnt")
	var names, outside []string
	for _, p := range s.processes() {
		names = append(names, p.name)
		if p.ns != inside {
			outside = append(outside, p.name)
		}
	}
	if len(outside) != 1 || outside[0] == "systemd" {
		s.t.Errorf("outside of the guest's session run %q", outside)
	}
	for _, name := range programs {
		if !slices.Contains(names, name) {
			s.t.Errorf("no process called %s among %q", name, names)
		}
	}
}
