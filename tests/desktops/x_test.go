package desktops

import (
	"context"
	"errors"
	"time"

	"ninefold/tests/machine"
)

// x is a desktop on the X server that lightdm started.
type x struct {
	*seat
	d  *desktop
	on *machine.Screen
}

// openX picks the desktop at lightdm's greeter.
func openX(d *desktop, s *seat) screen {
	s.t.Helper()
	return &x{s, d, s.lightdm(d.key())}
}

// lightdm logs in at lightdm's greeter, with the entry of that name. A machine
// with much else to do may not ask for the password yet when it is typed, so
// it is tried again, and more slowly.
func (s *seat) lightdm(entry string) *machine.Screen {
	s.t.Helper()
	var on *machine.Screen
	var err error
	for _, pause := range []time.Duration{time.Second, 3 * time.Second, 9 * time.Second} {
		if on, err = s.Lightdm(s.t.Context(), entry); err != nil {
			continue
		}
		s.unrepeated(on)
		ctx, cancel := context.WithTimeout(s.t.Context(), 20*time.Second+pause)
		for _, text := range []string{s.user, s.user} {
			if err = errors.Join(on.Type(ctx, text), on.Key(ctx, "Return")); err != nil {
				break
			}
			time.Sleep(pause)
		}
		if err == nil {
			_, err = s.SeatSession(ctx, s.user)
		}
		cancel()
		if err == nil {
			return on
		}
	}
	s.t.Fatal(err)
	return nil
}

// unrepeated keeps a key from being repeated when the machine is slow to let it
// go.
func (s *seat) unrepeated(on *machine.Screen) {
	s.t.Helper()
	s.Must("env", "DISPLAY="+on.Display, "XAUTHORITY="+on.Auth, "xset", "r", "off")
}

func (x *x) check(err error) {
	x.t.Helper()
	if err != nil {
		if p, e := x.on.Picture(x.t.Context()); e == nil {
			x.save("failed", p)
		}
		x.t.Fatalf("%v\n%s", err, x.Run("tail", "-n", "20", "/home/"+x.user+"/.xsession-errors").Stdout)
	}
}

func (x *x) usable() {
	x.t.Helper()
	for _, class := range x.d.windows {
		_, err := x.on.Window(x.t.Context(), patience, class)
		x.check(err)
	}
	x.eventually("the splash to go", func() string {
		for _, p := range x.processes() {
			if p.name == "ksplashqml" {
				return "it is there"
			}
		}
		return ""
	})
}

// terminal presses the desktop's own keys: a window manager that has just
// shown itself may not hear them yet.
func (x *x) terminal() {
	x.t.Helper()
	x.unrepeated(x.on)
	ctx := x.t.Context()
	var err error
	for range 5 {
		x.check(x.on.Key(ctx, x.d.keys))
		if x.d.typing != "" {
			time.Sleep(2 * time.Second) // the dialog comes up
			x.check(x.on.Type(ctx, x.d.typing))
			time.Sleep(time.Second)
			x.check(x.on.Key(ctx, "Return"))
		}
		if _, err = x.on.Window(ctx, patience/6, x.d.terminal); err == nil {
			time.Sleep(2 * time.Second) // its shell starts, and it gets the focus
			return
		}
		x.check(x.on.Key(ctx, "Escape"))
	}
	x.check(err)
}

func (x *x) typeLine(text string) {
	x.t.Helper()
	x.check(x.on.Type(x.t.Context(), text))
	x.check(x.on.Key(x.t.Context(), "Return"))
}

func (x *x) picture() []byte {
	x.t.Helper()
	p, err := x.on.Picture(x.t.Context())
	if err != nil {
		x.t.Fatal(err)
	}
	return p
}
