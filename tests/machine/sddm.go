package machine

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// SDDM starts sddm anew and returns its screen when the greeter waits for the
// password of user. entry is the marked session, by its file's name without
// ".desktop".
func (m *Machine) SDDM(ctx context.Context, user, entry string) (*Screen, error) {
	dir := "/usr/local/share"
	if v := m.Run(ctx, "dpkg-query", "-W", "-f", "${Version}", "sddm"); strings.HasPrefix(v.Stdout, "0.19") {
		dir = "/usr/share"
	}
	last := fmt.Sprintf("[Last]\nSession=%s/xsessions/%s.desktop\nUser=%s\n", dir, entry, user)
	for _, err := range []error{
		done(m.Run(ctx, "systemctl", "stop", "sddm.service")),
		done(m.Run(ctx, "sh", "-c", "rm -rf /run/sddm; install -d -o sddm -g sddm /var/lib/sddm; rm -f /tmp/.X*-lock")),
		m.Write(ctx, "/var/lib/sddm/state.conf", last),
		done(m.Run(ctx, "systemctl", "start", "sddm.service")),
	} {
		if err != nil {
			return nil, err
		}
	}
	s := &Screen{m: m, Display: ":0"}
	for end := time.Now().Add(greeterTime); s.Auth == "" && time.Now().Before(end) && ctx.Err() == nil; time.Sleep(100 * time.Millisecond) {
		s.Auth = strings.TrimSpace(m.Run(ctx, "find", "/run/sddm", "-type", "f", "-print", "-quit").Stdout)
	}
	if _, err := s.Window(ctx, greeterTime, "sddm-greeter"); err != nil {
		return nil, err
	}
	time.Sleep(2 * time.Second) // it draws for a while before it takes keys
	return s, nil
}

// LoginSDDM logs user in at sddm's greeter, into the session entry, and returns
// the screen when logind knows the session. The machine has to be of the set
// Greeters.
func (m *Machine) LoginSDDM(ctx context.Context, user, password, entry string) (*Screen, error) {
	return persist(func() (*Screen, error) {
		s, err := m.SDDM(ctx, user, entry)
		if err != nil {
			return nil, err
		}
		return s, s.passSDDM(ctx, user, password)
	})
}

// passSDDM gives the password of who is marked at sddm's greeter.
func (s *Screen) passSDDM(ctx context.Context, user, password string) error {
	// Where the theme that is built in has the field.
	if err := s.Click(ctx, 742, 473); err != nil {
		return err
	}
	if err := s.Type(ctx, password); err != nil {
		return err
	}
	if err := s.Key(ctx, "Return"); err != nil {
		return err
	}
	_, err := s.m.SeatSession(ctx, user)
	return err
}
