package desktops

import (
	"fmt"
	"strings"
	"time"
)

// gnome is GNOME on a screen of its own making. Its unsafe mode lets a program
// of the user's move its keyboard and take pictures.
type gnome struct {
	*seat
	d *desktop
}

// shellUnit is where the user manager looks for what starts the shell.
const shellUnit = "systemd/user/org.gnome.Shell@wayland.service.d/screen.conf"

const shellWithoutScreen = `[Service]
ExecStart=
ExecStart=/usr/bin/gnome-shell --headless --virtual-monitor 1280x720 --unsafe-mode --wayland --no-x11
`

// openGnome logs in by greetd: gdm wants a screen.
func openGnome(d *desktop, s *seat) screen {
	s.t.Helper()
	s.setting(d, shellUnit, shellWithoutScreen)
	s.greetd(d, d.key(), []string{"XDG_SESSION_TYPE=wayland"})
	return &gnome{s, d}
}

// eval runs a line in the shell, and returns what it evaluates to, as JSON.
func (g *gnome) eval(code string) (string, error) {
	r := g.as("busctl", "--user", "call", "org.gnome.Shell", "/org/gnome/Shell", "org.gnome.Shell", "Eval", "s", code)
	value, ok := strings.CutPrefix(strings.TrimSpace(r.Stdout), "bs true ")
	if !r.OK() || !ok {
		return "", fmt.Errorf("the shell does not run %s: %s", code, r)
	}
	return strings.ReplaceAll(strings.Trim(value, `"`), `\"`, `"`), nil
}

func (g *gnome) until(what, code string) {
	g.t.Helper()
	g.eventually(what, func() string {
		value, err := g.eval(code)
		if value == "true" {
			return ""
		}
		return fmt.Sprint(value, err)
	})
}

func (g *gnome) usable() {
	g.t.Helper()
	g.until("the shell to be up", "!Main.layoutManager._startingUp")
}

// terminal activates it as a click on its icon does.
func (g *gnome) terminal() {
	g.t.Helper()
	g.until("the terminal's icon", "Main.overview.hide(); imports.gi.Shell.AppSystem.get_default().lookup_app('"+g.d.terminal+".desktop').activate(); true")
	g.until("the terminal to have the focus", "(global.display.focus_window?.get_wm_class() ?? '').toLowerCase().includes('terminal')")
	g.until("a keyboard", "globalThis.keyboard ??= imports.gi.Clutter.get_default_backend().get_default_seat()"+
		".create_virtual_device(imports.gi.Clutter.InputDeviceType.KEYBOARD_DEVICE); true")
	time.Sleep(2 * time.Second) // its shell starts
}

func (g *gnome) typeLine(text string) {
	g.t.Helper()
	const press = "for (const key of [...'%s'].map(c => c.codePointAt(0)).concat([0xff0d])) " +
		"for (const down of [1, 0]) globalThis.keyboard.notify_keyval(imports.gi.GLib.get_monotonic_time(), key, down); true"
	g.until("keys to be pressed", fmt.Sprintf(press, text))
}

func (g *gnome) picture() []byte {
	g.t.Helper()
	name := "/home/" + g.user + "/picture.png"
	r := g.as("busctl", "--user", "call", "org.gnome.Shell.Screenshot", "/org/gnome/Shell/Screenshot", "org.gnome.Shell.Screenshot",
		"Screenshot", "bbs", "false", "false", name)
	if !r.OK() {
		g.t.Fatal(r)
	}
	return g.decode(g.Run("base64", name))
}
