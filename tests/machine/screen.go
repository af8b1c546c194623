package machine

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Screen is an X server of a machine of the set Greeters, with what types on it
// and looks at it.
type Screen struct {
	m             *Machine
	Display, Auth string // as in $DISPLAY and $XAUTHORITY
}

// run runs a program on the screen, as root.
func (s *Screen) run(ctx context.Context, args ...string) Result {
	return s.m.Run(ctx, append([]string{"env", "DISPLAY=" + s.Display, "XAUTHORITY=" + s.Auth}, args...)...)
}

// Type types text.
func (s *Screen) Type(ctx context.Context, text string) error {
	return done(s.run(ctx, "xdotool", "type", "--delay", "30", text))
}

// Key presses keys by their names, one after the other.
func (s *Screen) Key(ctx context.Context, keys ...string) error {
	return done(s.run(ctx, append([]string{"xdotool", "key"}, keys...)...))
}

// Click clicks at a place.
func (s *Screen) Click(ctx context.Context, x, y int) error {
	return done(s.run(ctx, "xdotool", "mousemove", strconv.Itoa(x), strconv.Itoa(y), "click", "1"))
}

// Picture is what is shown, as PNG.
func (s *Screen) Picture(ctx context.Context) ([]byte, error) {
	r := s.run(ctx, "import", "-window", "root", "png:-")
	return []byte(r.Stdout), done(r)
}

// Window waits for a window whose class or name matches, and returns its id. It is
// one client of the X server's that waits: a server begins anew when its last client
// goes (Xserver(1), -noreset), and of many short ones each would be that where a
// greeter is still to come.
func (s *Screen) Window(ctx context.Context, within time.Duration, pattern string) (string, error) {
	var last Result
	for end := time.Now().Add(within); time.Now().Before(end) && ctx.Err() == nil; time.Sleep(100 * time.Millisecond) {
		left := strconv.FormatFloat(time.Until(end).Seconds()+1, 'f', 1, 64)
		last = s.run(ctx, "timeout", left, "xdotool", "search", "--sync", "--onlyvisible", "--class", "--name", pattern)
		if ids := strings.Fields(last.Stdout); last.OK() && len(ids) > 0 {
			return ids[0], nil
		}
	}
	return "", fmt.Errorf("no window %q within %s: %s", pattern, within, last)
}
