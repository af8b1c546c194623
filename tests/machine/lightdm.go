package machine

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// greeterTime is how long a display manager may take to show its greeter: the
// machines that test have few processors.
const greeterTime = 60 * time.Second

// sessionTime is how long a session may take to be known: gdm waits ten seconds
// for a graphics card to appear.
const sessionTime = 40 * time.Second

// Lightdm starts lightdm anew and returns its screen when the greeter waits for
// a name. entry is the session that is marked in the greeter's menu, by its
// file's name without ".desktop"; "" leaves what lightdm would mark.
func (m *Machine) Lightdm(ctx context.Context, entry string) (*Screen, error) {
	settings := ""
	if entry != "" {
		settings = "user-session=" + entry + "\n"
	}
	return m.lightdm(ctx, settings, "")
}

// lightdm starts lightdm with settings of its seat. last is whom its greeter has
// marked, as it notes who came last; "" is nobody.
func (m *Machine) lightdm(ctx context.Context, settings, last string) (*Screen, error) {
	if err := m.Write(ctx, "/etc/lightdm/lightdm.conf.d/95-session.conf", "[Seat:*]\n"+settings); err != nil {
		return nil, err
	}
	const start = `install -d -o lightdm -g lightdm /var/lib/lightdm/.cache /var/lib/lightdm/.cache/lightdm-gtk-greeter
cd /var/lib/lightdm/.cache/lightdm-gtk-greeter; printf '[greeter]\nlast-user=%s\n' "$0" >state; chown lightdm: state
systemctl restart lightdm.service`
	if err := done(m.Run(ctx, "sh", "-ec", start, last)); err != nil {
		return nil, err
	}
	s := &Screen{m, ":0", "/var/run/lightdm/root/:0"}
	if _, err := s.Window(ctx, greeterTime, "lightdm-gtk-greeter"); err != nil {
		return nil, fmt.Errorf("%w\n%s", err, m.Run(ctx, "sh", "-c", "ps -ef; tail -n 30 /var/log/lightdm/*.log").Stdout)
	}
	time.Sleep(time.Second) // it takes keys a moment after it is shown
	return s, nil
}

// LoginLightdm logs user in at lightdm's greeter, into the session entry, and
// returns the screen when logind knows the session. The machine has to be of
// the set Greeters.
func (m *Machine) LoginLightdm(ctx context.Context, user, password, entry string) (*Screen, error) {
	return persist(func() (*Screen, error) {
		s, err := m.Lightdm(ctx, entry)
		if err != nil {
			return nil, err
		}
		return s, s.logIn(ctx, user, password)
	})
}

// persist tries a login at a greeter up to three times, as a person would: on a
// machine with much to do a greeter can miss keys.
func persist(logIn func() (*Screen, error)) (s *Screen, err error) {
	for range 3 {
		if s, err = logIn(); err == nil {
			break
		}
	}
	return s, err
}

// logIn types name and password at lightdm's greeter.
func (s *Screen) logIn(ctx context.Context, user, password string) error {
	for _, text := range []string{user, password} {
		if err := s.Type(ctx, text); err != nil {
			return err
		}
		if err := s.Key(ctx, "Return"); err != nil {
			return err
		}
		time.Sleep(time.Second) // until it asks for the next
	}
	_, err := s.m.SeatSession(ctx, user)
	return err
}

// GuestAtLightdm has a guest log in at lightdm's greeter, and returns the screen and
// who it is when logind knows the session.
func (m *Machine) GuestAtLightdm(ctx context.Context) (s *Screen, name string, err error) {
	s, err = persist(func() (*Screen, error) {
		s, err := m.Lightdm(ctx, "")
		if err == nil {
			err = s.Type(ctx, "guest")
		}
		for range 2 { // after the name, and where it is asked for
			if err == nil {
				err = s.Key(ctx, "Return")
				time.Sleep(time.Second)
			}
		}
		if err == nil {
			name, err = m.SeatGuest(ctx, "lightdm")
		}
		return s, err
	})
	return s, name, err
}

// GuestEntry presses the button of the entry for guests in the list of lightdm's
// greeter, and returns the screen.
func (m *Machine) GuestEntry(ctx context.Context) (*Screen, error) {
	s, err := m.lightdm(ctx, "greeter-hide-users=false\n", "*guest")
	if err == nil {
		err = s.Key(ctx, "shift+Tab", "Return")
	}
	return s, err
}

// SeatGuest waits for a guest on seat0 who came by a service, and returns its name.
func (m *Machine) SeatGuest(ctx context.Context, service string) (string, error) {
	const guest = `for s in $(loginctl list-sessions --no-legend | awk '$3 ~ /^guest-/ && /seat0/ { print $1 }'); do
	case $(loginctl show-session "$s" -p Service --value) in "$0" | "$0"-autologin) ;; *) continue ;; esac
	exec loginctl show-session "$s" -p Name --value
done`
	var last Result
	for end := time.Now().Add(sessionTime); time.Now().Before(end) && ctx.Err() == nil; time.Sleep(200 * time.Millisecond) {
		last = m.Run(ctx, "sh", "-c", guest, service)
		if name := strings.TrimSpace(last.Stdout); last.OK() && name != "" {
			return name, nil
		}
	}
	return "", fmt.Errorf("no guest of %s on seat0: %s\n%s", service, last, m.Run(ctx, "sh", "-c", "sessionctl guest list; journalctl --no-pager -n 30").Stdout)
}

// SeatSession waits for a session of user on seat0 and returns its id.
func (m *Machine) SeatSession(ctx context.Context, user string) (string, error) {
	var last Result
	for end := time.Now().Add(sessionTime); time.Now().Before(end) && ctx.Err() == nil; time.Sleep(200 * time.Millisecond) {
		last = m.Run(ctx, "sh", "-c", `loginctl list-sessions --no-legend | awk -v u="$0" '$3 == u && /seat0/ { print $1; exit }'`, user)
		if n := len(last.Stdout); last.OK() && n > 1 {
			return last.Stdout[:n-1], nil
		}
	}
	return "", fmt.Errorf("no session of %s on seat0: %s", user, last)
}
