package machine

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"ninefold/tests/needs"
)

const (
	openboxEntry = "ninefold-desk+openbox"
	labwcEntry   = "ninefold-desk+labwc"
	sessionsDir  = "/usr/local/share/"
)

// desk is a profile that nobody has by default.
const desk = `version = 1
name = "desk"
base = "graphical"
namespace = """
file /etc/ninefold-marker desk
"""
`

// graphicalImages builds the images with desktops in the state of image.
var graphicalImages = sync.OnceValues(func() (state string, err error) {
	if state, err = image(); err != nil {
		return state, err
	}
	recipes := filepath.Join(state, "config/recipes")
	for _, f := range []string{"graphical.toml", "planted-desktop.toml"} {
		text, err := os.ReadFile("testdata/" + f)
		if err != nil {
			return state, err
		}
		if err := os.WriteFile(filepath.Join(recipes, f), text, 0o644); err != nil {
			return state, err
		}
	}
	if err := os.CopyFS(filepath.Join(recipes, "planted-desktop"), os.DirFS("testdata/planted-desktop")); err != nil {
		return state, err
	}
	out, err := exec.Command("../../bin/sessionctl", "--state", state, "--config", filepath.Join(state, "config"), "image", "build", "planted-desktop").CombinedOutput()
	if err != nil {
		return state, &os.PathError{Op: "build the images in", Path: state + "\n" + string(tail(out)), Err: err}
	}
	return state, nil
})

// greeted boots a machine with display managers and the profile desk to choose.
func greeted(t *testing.T, suite string) *Booted {
	t.Helper()
	Able(t, "gcc")
	state, err := graphicalImages()
	if err != nil {
		t.Fatal(err)
	}
	b := installed(t, suite, Options{State: state, Set: Greeters})
	if b.Virtual() {
		needs.Elsewhere(t, "a virtual machine has no display managers")
	}
	b.Write(profileDir+"desk.toml", desk)
	b.configure("[login]\nchoose = [\"desk\"]\n")
	b.eventually("the session entries of the profile", func() string {
		return b.Run("ls", sessionsDir+"xsessions/"+openboxEntry+".desktop", sessionsDir+"wayland-sessions/"+labwcEntry+".desktop").Stderr
	})
	return b
}

// ownPrograms are those of a display manager that run as the user on the
// host, and of Debian's scripts for X sessions.
var ownPrograms = []string{"gdm-x-session", "gdm-wayland-ses", "Xvfb", "ssh-agent"}

// desktop waits for program in a view of the user, and looks whether everything
// of the user is there; what is in outside may be on the host. It returns the
// session that logind has.
func (b *Booted) desktop(t *testing.T, user, program, kind string, outside ...string) {
	t.Helper()
	var p process
	host := b.hostNS()
	b.eventually(program+" in a view of "+user, func() string {
		all := b.processes(user)
		i := slices.IndexFunc(all, func(q process) bool { return q.name == program && q.ns != host })
		if i < 0 {
			return "it is not there: " + b.Run("tail", "/home/"+user+"/.xsession-errors").Stdout
		}
		p = all[i]
		return ""
	})
	time.Sleep(time.Second) // for what it starts
	// What is left of the login before may still be ending.
	b.eventually("everything of "+user+" to be there", func() string {
		wrong, manager := "", false
		for _, q := range b.processes(user) {
			manager = manager || q.name == "systemd"
			if q.ns != p.ns && q.name != "(sd-pam)" && !slices.Contains(outside, q.name) {
				wrong += fmt.Sprintf("%s of %s (%s) is in %s, and not in %s\n", q.name, user, q.pid, q.ns, p.ns)
			}
		}
		if !manager {
			wrong += user + " has no user manager"
		}
		return wrong
	})
	if marker := b.Must("cat", "/proc/"+p.pid+"/root/etc/ninefold-marker"); marker != "desk" {
		t.Errorf("the root of %s is another: %q", program, marker)
	}
	id, err := b.SeatSession(b.ctx, user)
	b.check(err)
	r := b.Must("loginctl", "show-session", id, "--property=Name", "--property=Seat", "--property=Class", "--property=Type")
	for _, want := range []string{"Name=" + user, "Seat=seat0", "Class=user", "Type=" + kind} {
		if !strings.Contains(r+"\n", want+"\n") {
			t.Errorf("logind's session lacks %s: %s", want, r)
		}
	}
	environ := b.Must("sh", "-c", "tr '\\0' '\\n' </proc/"+p.pid+"/environ | grep -E '^(DESKTOP_SESSION|NINEFOLD_PROFILE|XDG_SESSION_ID)='")
	if !strings.Contains(environ, "DESKTOP_SESSION="+program) || !strings.Contains(environ, "NINEFOLD_PROFILE=desk") {
		t.Errorf("the environment of %s: %s", program, environ)
	}
}

// allOnHost wants processes of a system user, and all of them on the host.
func (b *Booted) allOnHost(user string) {
	b.t.Helper()
	host := b.hostNS()
	all := b.processes(user)
	for _, p := range all {
		if p.ns != host {
			b.t.Errorf("%s of %s is in a view", p.name, user)
		}
	}
	if len(all) == 0 {
		b.t.Errorf("%s runs nothing", user)
	}
}

// over ends the user's session as logging out does, and wants its view to go
// with it.
func (b *Booted) over(user string) {
	b.t.Helper()
	id, err := b.SeatSession(b.ctx, user)
	b.check(err)
	b.Must("loginctl", "terminate-session", id)
	// The user's manager stays for a moment more.
	// A window manager that is just starting can miss the signal: systemd waits for
	// it for longer than we do.
	deaf := time.AfterFunc(greeterTime/4, func() { b.Machine.Run(b.ctx, "loginctl", "kill-session", "--signal=KILL", id) })
	defer deaf.Stop()
	for end := time.Now().Add(greeterTime); b.holders("") != ""; time.Sleep(200 * time.Millisecond) {
		if time.Now().After(end) {
			b.t.Fatalf("the view stays after the logout: %s\n%s\n%v", b.holders(""), b.Must("loginctl", "list-sessions"), b.processes(user))
		}
	}
}

// TestGreeters logs in by each display manager into the desktop of a profile
// that was picked there.
func TestGreeters(t *testing.T) {
	for _, suite := range suites() {
		t.Run(suite, func(t *testing.T) {
			t.Parallel()
			b := greeted(t, suite)
			t.Run("lightdm", func(t *testing.T) { b.For(t).byLightdm(t) })
			t.Run("sddm", func(t *testing.T) { b.For(t).bySDDM(t) })
			t.Run("greetd", func(t *testing.T) { b.For(t).byGreetd(t) })
			t.Run("gdm", func(t *testing.T) { b.For(t).byGDM(t) })
			t.Run("guests", func(t *testing.T) { b.For(t).guestsAtGreeters(t, suite) })
			t.Run("no-view", func(t *testing.T) { b.For(t).withoutView(t) })
			t.Run("planted", func(t *testing.T) { b.For(t).planted(t) })
			t.Run("entries-go", func(t *testing.T) { b.For(t).entriesGo(t) })
		})
	}
}

// byLightdm picks the entry in the greeter's menu.
func (b *Booted) byLightdm(t *testing.T) {
	defer b.Run("systemctl", "stop", "lightdm.service")
	// The menu has the names in order, 25 pixels each, below the icon.
	names := strings.Split(b.Must("sh", "-c", "grep -h ^Name= /usr/share/xsessions/lightdm-xsession.desktop "+
		sessionsDir+"xsessions/*.desktop "+sessionsDir+"wayland-sessions/*.desktop | cut -c 6- | LC_ALL=C sort"), "\n")
	at := slices.Index(names, "Openbox (profile desk)")
	if at < 0 {
		t.Fatalf("not among %q", names)
	}
	s, err := persist(func() (*Screen, error) {
		s, err := b.Lightdm(b.ctx, "")
		b.check(err)
		b.allOnHost("lightdm")
		for _, place := range [][2]int{{868, 12}, {900, 37 + 25*at}} {
			b.check(s.Click(b.ctx, place[0], place[1]))
			time.Sleep(time.Second)
		}
		b.check(s.Click(b.ctx, 560, 344)) // the name
		return s, s.logIn(b.ctx, "bob", "bob")
	})
	b.check(err)
	b.desktop(t, "bob", "openbox", "x11")
	b.over("bob")
	if _, err := s.Window(b.ctx, greeterTime, "lightdm-gtk-greeter"); err != nil {
		t.Errorf("after the logout: %v", err)
	}
}

func (b *Booted) bySDDM(t *testing.T) {
	_, err := b.SDDM(b.ctx, "bob", openboxEntry)
	b.check(err)
	defer b.Run("systemctl", "stop", "sddm.service")
	b.allOnHost("sddm")
	_, err = b.LoginSDDM(b.ctx, "bob", "bob", openboxEntry)
	b.check(err)
	b.desktop(t, "bob", "openbox", "x11")
	b.over("bob")
}

func (b *Booted) byGreetd(t *testing.T) {
	command, err := b.EntryCommand(b.ctx, sessionsDir+"wayland-sessions/"+labwcEntry+".desktop")
	b.check(err)
	defer b.Run("systemctl", "stop", "greetd.service")
	b.check(b.LoginGreetd(b.ctx, "bob", "bob", command, []string{"XDG_SESSION_TYPE=wayland", "XDG_SESSION_DESKTOP=" + labwcEntry,
		"DESKTOP_SESSION=" + labwcEntry, "WLR_BACKENDS=headless", "WLR_RENDERER=pixman", "WLR_LIBINPUT_NO_DEVICES=1"}))
	b.desktop(t, "bob", "labwc", "wayland")
	b.over("bob")
}

func (b *Booted) byGDM(t *testing.T) {
	defer b.Run("systemctl", "stop", "gdm.service")
	b.check(b.LoginGDM(b.ctx, "bob", openboxEntry))
	b.desktop(t, "bob", "openbox", "x11", ownPrograms...)
	b.Must("systemctl", "stop", "gdm.service") // else it logs in again at once
	b.eventually("the view to end with gdm", func() string { return b.holders("") })
	// Nobody has an entry of his own now: it is the one that is picked.
	b.check(b.LoginGDMTyped(b.ctx, "bob", "bob", openboxEntry))
	b.desktop(t, "bob", "openbox", "x11", ownPrograms...)
	b.Must("systemctl", "stop", "gdm.service")
	b.eventually("the view to end with gdm", func() string { return b.holders("") })
}

// withoutView picks the entry while the daemon is away: the machine's own
// desktop comes, and a window that says why.
func (b *Booted) withoutView(t *testing.T) {
	b.Must("systemctl", "stop", "sessiond-door.socket", "sessiond.service")
	defer b.Run("systemctl", "stop", "lightdm.service")
	defer b.Must("systemctl", "start", "sessiond-door.socket", "sessiond.service")
	s, err := b.LoginLightdm(b.ctx, "bob", "bob", openboxEntry)
	b.check(err)
	s.Auth = "/home/bob/.Xauthority"
	if _, err := s.Window(b.ctx, greeterTime, "xterm"); err != nil {
		t.Error(err)
	}
	if _, err := s.Window(b.ctx, greeterTime, "xmessage"); err != nil {
		t.Error(err)
	}
	if said := b.Must("pgrep", "-u", "bob", "-a", "xmessage"); !strings.Contains(said, "No view of profile desk: ") || !strings.Contains(said, "You are on the machine itself.") {
		t.Errorf("it says %q", said)
	}
	b.Must("loginctl", "terminate-user", "bob")
}

// planted logs in to a root with marks on the way of a graphical login: first
// to one that is root's, where the user's session comes by them, then to one
// that the user can change. None of them is ever made by root.
func (b *Booted) planted(t *testing.T) {
	text := strings.ReplaceAll(desk[:strings.Index(desk, "namespace")], `"graphical"`, `"planted-desktop"`)
	b.Write(profileDir+"desk.toml", text)
	b.configured()
	defer b.Run("systemctl", "stop", "lightdm.service", "sddm.service")
	lightdm := func() (*Screen, error) { return b.LoginLightdm(b.ctx, "bob", "bob", openboxEntry) }
	sddm := func() (*Screen, error) { return b.LoginSDDM(b.ctx, "bob", "bob", openboxEntry) }
	for _, c := range []struct {
		logIn func() (*Screen, error)
		owner string
		mark  string
	}{{lightdm, "root", "1001 Xsession.d"}, {lightdm, "bob", ""}, {sddm, "bob", ""}} {
		b.Must("chown", c.owner, profileDir+"desk.toml")
		b.configured()
		b.Must("rm", "-f", "/home/bob/planted")
		_, err := c.logIn()
		b.check(err)
		b.inView(t, "openbox", c.owner != "root")
		time.Sleep(2 * time.Second) // a window manager that starts may miss being told to end
		marks := b.Run("cat", "/home/bob/planted").Stdout
		if !strings.Contains(marks, c.mark) || strings.HasPrefix(marks, "0") || strings.Contains(marks, "\n0") {
			t.Errorf("in a profile of %s's the marks are %q", c.owner, marks)
		}
		b.over("bob")
		b.Must("systemctl", "stop", "lightdm.service", "sddm.service")
	}
}

// inView waits for a program of bob's in a view, confined or not.
func (b *Booted) inView(t *testing.T, program string, confined bool) {
	t.Helper()
	host := b.hostNS()
	b.eventually(program+" in a view", func() string {
		for _, p := range b.processes("bob") {
			if p.name == program && p.ns != host {
				if got := b.Must("awk", "/^NoNewPrivs/ { print $2 }", "/proc/"+p.pid+"/status"); (got == "1") != confined {
					t.Errorf("no_new_privs of %s is %s", program, got)
				}
				return ""
			}
		}
		return "it is not there: " + b.Run("tail", "/home/bob/.xsession-errors").Stdout
	})
}

// entriesGo takes the profile away, and then the package.
func (b *Booted) entriesGo(t *testing.T) {
	const list = "cat /usr/share/*sessions/ninefold-* /usr/local/share/*sessions/ninefold-* 2>/dev/null; true"
	b.Write("/usr/local/share/xsessions/ninefold-own.desktop", "[Desktop Entry]\n")
	b.configure("[login]\n")
	b.eventually("the entries to go", func() string { return strings.TrimPrefix(b.Must("sh", "-c", list), "[Desktop Entry]") })
	b.configure("[login]\nchoose = [\"desk\"]\n")
	b.eventually("the entries to come", func() string { return b.Run("ls", sessionsDir+"xsessions/"+openboxEntry+".desktop").Stderr })
	const stacks = "cd /etc/pam.d; sha256sum login lightdm greetd"
	before := b.Must("sh", "-c", stacks)
	b.Write(profileDir+"visitor.toml", visitor)
	b.Must("sessionctl", "guest", "enable", "--profile", "visitor")
	if b.Must("sh", "-c", stacks) == before {
		t.Error("no stack was changed")
	}
	b.Must("dpkg", "--remove", "ninefold")
	if now := b.Must("sh", "-c", stacks); now != before {
		t.Errorf("the removal left other PAM stacks:\n%s\n%s", before, now)
	}
	if left := b.Must("sh", "-c", list); left != "[Desktop Entry]" {
		t.Errorf("the removal left %s", left)
	}
}
