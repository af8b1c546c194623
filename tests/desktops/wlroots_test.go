package desktops

import (
	"encoding/base64"
	"strings"
	"time"

	"ninefold/tests/machine"
)

// wlroots is a Wayland desktop without a screen, and with a keyboard that
// wtype makes.
type wlroots struct {
	*seat
	d *desktop
}

var headless = []string{
	"XDG_SESSION_TYPE=wayland", "WLR_BACKENDS=headless", "WLR_RENDERER=pixman", "WLR_LIBINPUT_NO_DEVICES=1",
}

// openWlroots logs in by greetd.
func openWlroots(d *desktop, s *seat) screen {
	s.t.Helper()
	s.greetd(d, d.key(), headless)
	return &wlroots{s, d}
}

// in runs a program of the image in the session's root.
func (w *wlroots) in(args ...string) machine.Result {
	w.t.Helper()
	const enter = `pid=$(pgrep -x -u "$0" "$1"); user=$0; shift
exec nsenter --target "$pid" --mount setpriv --reuid="$user" --regid="$user" --init-groups env HOME="/home/$user" "$@"`
	return w.Run(append([]string{"sh", "-c", enter, w.user, w.d.entry, "XDG_RUNTIME_DIR=/run/user/" + w.uid, "WAYLAND_DISPLAY=" + w.display()}, args...)...)
}

// display is the name of the compositor's socket.
func (w *wlroots) display() string {
	w.t.Helper()
	name, _, _ := strings.Cut(w.Run("sh", "-c", `cd "/run/user/$0" && ls -d wayland-? wayland-?? 2>/dev/null`, w.uid).Stdout, "\n")
	return name
}

func (w *wlroots) usable() {
	w.t.Helper()
	w.eventually("the panel to be drawn", func() string {
		r := w.in("sh", "-c", `pgrep -x -u "$(id -u)" "$0" && grim -t ppm - | tail -c +20 | head -c 30720 | od -v -A n -t x1 -w3 | sort -u | wc -l`, w.d.runs[1])
		if f := strings.Fields(r.Stdout); r.OK() && len(f) > 1 && len(f[len(f)-1]) > 0 && f[len(f)-1] != "1" {
			return ""
		}
		return r.String()
	})
}

func (w *wlroots) terminal() {
	w.t.Helper()
	for range 5 {
		w.in("wtype", "-M", "logo", "-k", w.d.keys)
		for end := time.Now().Add(patience / 6); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
			if w.Run("sh", "-c", `pgrep -P "$(pgrep -x -u "$0" "$1" | head -n 1)"`, w.user, w.d.terminal).OK() {
				time.Sleep(time.Second)
				return
			}
		}
	}
	w.t.Fatal("no terminal was opened")
}

// typeLine begins with a space: a compositor may miss the first key of a new
// keyboard.
func (w *wlroots) typeLine(text string) {
	w.t.Helper()
	if r := w.in("wtype", "-d", "20", "  "+text, "-k", "Return"); !r.OK() {
		w.t.Fatal(r)
	}
}

func (w *wlroots) picture() []byte {
	w.t.Helper()
	return w.decode(w.in("sh", "-c", "grim - | base64"))
}

// decode is for what comes as text.
func (s *seat) decode(r machine.Result) []byte {
	s.t.Helper()
	data, err := base64.StdEncoding.DecodeString(strings.ReplaceAll(r.Stdout, "\n", ""))
	if err != nil || !r.OK() {
		s.t.Fatalf("%v: %s", err, r)
	}
	return data
}
