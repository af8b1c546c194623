package desktops

import (
	"os"
	"path/filepath"
	"regexp"
	"sync"
	"testing"
)

// desktop is one whole desktop: an image and how a person uses it.
type desktop struct {
	profile string // the profile that comes with the project
	image   string // what it stands on here; the profile's own for ""
	debian  string // the image's release
	open    func(d *desktop, s *seat) screen
	entry   string // the image's own session entry
	names   string // as in $XDG_CURRENT_DESKTOP
	// windows are classes of what an X desktop shows when it can be used.
	windows []string
	// keys open a terminal, and then typing says which where it is asked for.
	keys, typing string
	terminal     string // class of its window, or name of its program
	runs         []string
	when         int // the least NINEFOLD_DESKTOPS that runs it
}

const (
	short = iota // in every go test
	all
	long
)

var catalog = []desktop{
	{profile: "labwc", debian: "trixie", open: openWlroots, entry: "labwc", names: "labwc",
		keys: "Return", terminal: "foot", runs: []string{"labwc", "waybar", "foot"}},
	{profile: "xfce", debian: "trixie", open: openX, entry: "xfce", names: "XFCE",
		windows: []string{"xfdesktop", "xfce4-panel"}, keys: "ctrl+alt+t", terminal: "xfce4-terminal",
		runs: []string{"xfce4-session", "xfwm4", "xfce4-panel", "xfdesktop"}},
	{profile: "gnome", debian: "trixie", open: openGnome, entry: "gnome", names: "GNOME",
		terminal: "org.gnome.Terminal", runs: []string{"gnome-shell", "gnome-terminal-"}},
	{profile: "plasma", debian: "trixie", open: openX, entry: "plasmax11", names: "KDE",
		windows: []string{"plasmashell"}, keys: "ctrl+alt+t", terminal: "konsole",
		runs: []string{"plasmashell", "kwin_x11", "konsole"}, when: all},
	{profile: "xfce", image: "xfce12-desktop", debian: "bookworm", open: openX, entry: "xfce", names: "XFCE",
		windows: []string{"xfdesktop", "xfce4-panel"}, keys: "ctrl+alt+t", terminal: "xfce4-terminal",
		runs: []string{"xfce4-session", "xfwm4", "xfce4-panel", "xfdesktop"}, when: all},
	{profile: "labwc", image: "sway12-desktop", debian: "bookworm", open: openWlroots, entry: "sway", names: "sway",
		keys: "Return", terminal: "foot", runs: []string{"sway", "swaybar", "foot"}, when: all},
	{profile: "gnome", image: "gnome12-desktop", debian: "bookworm", open: openGnome, entry: "gnome", names: "GNOME",
		terminal: "org.gnome.Terminal", runs: []string{"gnome-shell", "gnome-terminal-"}, when: all},
	{profile: "plasma", image: "plasma12-desktop", debian: "bookworm", open: openX, entry: "plasma", names: "KDE",
		windows: []string{"plasmashell"}, keys: "alt+F1", typing: "konsole", terminal: "konsole",
		runs: []string{"plasmashell", "kwin_x11", "konsole"}, when: all},
	{profile: "lxqt", debian: "trixie", open: openX, entry: "lxqt", names: "LXQt",
		windows: []string{"lxqt-panel"}, keys: "alt+F2", typing: "qterminal", terminal: "qterminal",
		runs: []string{"lxqt-session", "lxqt-panel", "openbox", "qterminal"}, when: long},
	{profile: "mate", debian: "trixie", open: openX, entry: "mate", names: "MATE",
		windows: []string{"Caja", "mate-panel"}, keys: "alt+F2", typing: "mate-terminal", terminal: "mate-terminal",
		runs: []string{"mate-session", "marco", "mate-panel", "mate-terminal"}, when: long},
	{profile: "cinnamon", debian: "trixie", open: openX, entry: "cinnamon", names: "X-Cinnamon",
		windows: []string{"nemo-desktop"}, keys: "ctrl+alt+t", terminal: "gnome-terminal",
		runs: []string{"cinnamon", "nemo-desktop", "gnome-terminal-"}, when: long},
}

// name is what the image is of, without what all images are called.
func (d *desktop) name() string {
	return regexp.MustCompile(`-desktop$`).ReplaceAllString(d.of(), "")
}

// of is the image's name.
func (d *desktop) of() string {
	if d.image != "" {
		return d.image
	}
	return d.profile + "-desktop"
}

// wanted are the desktops of this run, all of them or those of
// NINEFOLD_DESKTOP, a pattern.
func wanted(t testing.TB) []desktop {
	t.Helper()
	most := map[string]int{"": short, "all": all, "long": long}[os.Getenv("NINEFOLD_DESKTOPS")]
	only := regexp.MustCompile(os.Getenv("NINEFOLD_DESKTOP"))
	var out []desktop
	for _, d := range catalog {
		if d.when <= most && only.MatchString(d.name()) {
			out = append(out, d)
		}
	}
	return out
}

// kind is the directory of the desktop's entry.
func (d *desktop) kind() string {
	if len(d.windows) > 0 {
		return "xsessions"
	}
	return "wayland-sessions"
}

// key is the name of the entry of the profile's desktop.
func (d *desktop) key() string { return "ninefold-" + d.name() + "+" + d.entry }

// top is the checkout.
func top(t testing.TB) string {
	t.Helper()
	dir, err := checkout()
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

var checkout = sync.OnceValues(func() (string, error) { return filepath.Abs("../..") })
