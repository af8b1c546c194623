package desktops

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"ninefold/tests/machine"
)

// seat is somebody before a machine: the test of one desktop there.
type seat struct {
	*machine.Booted
	t    testing.TB
	user string
	uid  string
}

// screen is a desktop that somebody has logged in to.
type screen interface {
	// usable returns when it can be worked with.
	usable()
	// terminal opens one, by what the desktop has for that.
	terminal()
	// typeLine types text and Enter where the focus is.
	typeLine(text string)
	// picture is what is shown, as PNG.
	picture() []byte
}

const (
	profileDir = "/etc/ninefold/profiles/"
	marker     = "/etc/ninefold-marker"
	// patience is for what takes seconds on a machine with time to spare.
	patience = 90 * time.Second
)

// prove says, in the home and for the picture, where a shell finds itself.
const prove = `{
	echo "marker=$(cat ` + marker + `)"
	echo "mnt=$(readlink /proc/self/ns/mnt)"
	echo "debian=$(sed -n s/^VERSION_CODENAME=//p /etc/os-release)"
	echo "terminal=$(tty)"
} | tee ~/proof.new && mv ~/proof.new ~/proof
`

// take gives the seat to user, with a fresh home, and lets people choose the
// desktop at a greeter.
func take(t testing.TB, b *machine.Booted, d *desktop, user string) *seat {
	t.Helper()
	s := &seat{b.For(t), t, user, ""}
	begun := s.Must("date", "+%s.%N")
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the machine's log:\n%s", b.Run("journalctl", "--no-pager", "--since=@"+begun, "--output=short-monotonic", "--lines=200").Stdout)
		}
	})
	s.uid = s.Must("id", "-u", user)
	s.Write(profileDir+d.name()+".toml", s.profile(d))
	s.Write("/etc/ninefold/ninefold.toml", "[login]\nchoose = [\""+d.name()+"\"]\n")
	s.eventually("the daemon to make the session entry", func() string {
		if r := s.Run("test", "-e", s.entryFile(d)); !r.OK() {
			return s.Must("sh", "-c", "ls /usr/local/share/xsessions /usr/local/share/wayland-sessions; journalctl -n 20 -u sessiond")
		}
		return ""
	})
	s.freshHome()
	return s
}

func (s *seat) entryFile(d *desktop) string {
	return "/usr/local/share/" + d.kind() + "/" + d.key() + ".desktop"
}

// enter logs in by do, and again where the login had to stay on the machine: a
// view is not waited for longer than a second, which is short where much else
// is going on.
func (s *seat) enter(do func()) {
	s.t.Helper()
	for range 3 {
		do()
		if s.managerInView() {
			return
		}
		s.t.Logf("the login stayed on the machine; once more:\n%s", s.Must("journalctl", "--no-pager", "-n", "5", "-u", "sessiond"))
		s.leave()
	}
	s.t.Fatal("no login gets its view")
}

// managerInView reports whether the user's user manager has left the machine's
// mount namespace.
func (s *seat) managerInView() bool {
	s.t.Helper()
	host := s.Must("readlink", "/proc/1/ns/mnt")
	found := false
	s.eventually("a user manager", func() string {
		for _, p := range s.processes() {
			if p.name == "systemd" {
				found = p.ns != host
				return ""
			}
		}
		return "none"
	})
	return found
}

// greetd logs in by the session entry of that name, of a profile's or the
// machine's own, as a greeter that reads it would.
func (s *seat) greetd(d *desktop, entry string, env []string) {
	s.t.Helper()
	file := s.entryFile(d)
	if entry != d.key() {
		file = "/usr/share/" + d.kind() + "/" + entry + ".desktop"
	}
	command, err := s.EntryCommand(s.t.Context(), file)
	if err != nil {
		s.t.Fatal(err)
	}
	env = append([]string{"XDG_CURRENT_DESKTOP=" + d.names, "XDG_SESSION_DESKTOP=" + entry, "DESKTOP_SESSION=" + entry}, env...)
	if err := s.LoginGreetd(s.t.Context(), s.user, s.user, command, env); err != nil {
		s.t.Fatal(err)
	}
}

// setting writes a file below the user's ~/.config: that of the home, and the
// one that the profile has in its place.
func (s *seat) setting(d *desktop, name, text string) {
	s.t.Helper()
	for _, config := range []string{".config/", ".local/ninefold/" + d.name() + "/config/"} {
		s.Write("/home/"+s.user+"/"+config+name, text)
	}
	s.Must("chown", "-R", s.user+":"+s.user, "/home/"+s.user)
}

// freshHome empties the user's home, but for what a new one has, and has the
// machine forget which session was taken last.
func (s *seat) freshHome() {
	s.t.Helper()
	s.Must("sh", "-ec", `find "/home/$0" -mindepth 1 -delete; cp -a /etc/skel/. "/home/$0/"; chown -R "$0:$0" "/home/$0"
rm -f "/var/lib/AccountsService/users/$0" "/var/cache/lightdm/dmrc/$0.dmrc" /var/lib/lightdm/.cache/lightdm-gtk-greeter/state; systemctl try-restart accounts-daemon`, s.user)
	s.Write("/home/"+s.user+"/prove", prove)
}

// profile is the one that comes with the project, on the image of d and with a
// file that exists nowhere else.
func (s *seat) profile(d *desktop) string {
	s.t.Helper()
	text, err := os.ReadFile(top(s.t) + "/profiles/" + d.profile + ".toml")
	if err != nil {
		s.t.Fatal(err)
	}
	out := strings.Replace(string(text), `name = "`+d.profile+`"`, `name = "`+d.name()+`"`, 1)
	out = strings.Replace(out, "\n[keep]", "namespace = '''\nfile "+marker+" "+d.name()+"\n'''\n\n[keep]", 1)
	if d.image != "" {
		out = strings.Replace(out, `runtime = "`+d.profile+`-desktop"`, `runtime = "`+d.image+`"`, 1)
		out = strings.Replace(out, `base = "debian-base"`, `base = "debian12-base"`, 1)
	}
	if !strings.Contains(out, marker) || !strings.Contains(out, `"`+d.of()+`"`) || !strings.Contains(out, `"`+d.name()+`"`) {
		s.t.Fatalf("profiles/%s.toml has not the form that this test changes:\n%s", d.profile, text)
	}
	return out
}

// as runs a program as the user, with what a program of the session would need
// to find the desktop. It runs on the machine, as a person's keyboard would.
func (s *seat) as(args ...string) machine.Result {
	s.t.Helper()
	return s.RunAs(s.user, append([]string{"env", "HOME=/home/" + s.user, "XDG_RUNTIME_DIR=/run/user/" + s.uid}, args...)...)
}

// proven runs prove in the terminal that is open, and returns what it says.
func (s *seat) proven(on screen) map[string]string {
	s.t.Helper()
	proof := "/home/" + s.user + "/proof"
	for try := range 3 {
		if try > 0 {
			s.t.Logf("nothing came of what was typed; once more")
		}
		on.typeLine("sh prove")
		for end := time.Now().Add(patience / 6); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
			r := s.Run("cat", proof)
			if !r.OK() {
				continue
			}
			p := map[string]string{}
			for line := range strings.Lines(r.Stdout) {
				k, v, _ := strings.Cut(strings.TrimSpace(line), "=")
				p[k] = v
			}
			return p
		}
	}
	s.save("failed", on.picture())
	s.t.Fatal("the terminal runs nothing")
	return nil
}

// process is one process of the user.
type process struct{ pid, ns, name string }

func (s *seat) processes() []process {
	s.t.Helper()
	const list = `for p in $(pgrep -u "$0"); do echo "$p $(readlink /proc/$p/ns/mnt) $(cat /proc/$p/comm)"; done 2>/dev/null; true`
	var out []process
	for line := range strings.Lines(s.Must("sh", "-c", list, s.user)) {
		if f := strings.SplitN(strings.TrimSpace(line), " ", 3); len(f) == 3 && strings.HasPrefix(f[1], "mnt:") {
			out = append(out, process{f[0], f[1], f[2]})
		}
	}
	return out
}

// allIn wants every process of the user in the mount namespace ns, and among
// them the user manager, its bus, and the desktop's programs. The (sd-pam) of
// the user manager stays where PAM opened the session.
func (s *seat) allIn(ns string, programs ...string) {
	s.t.Helper()
	names := map[string]bool{}
	for _, p := range s.processes() {
		if p.name == "(sd-pam)" {
			continue
		}
		names[p.name] = true
		if p.ns != ns {
			s.t.Errorf("%s (%s) is in %s, and not in the view, %s", p.name, p.pid, p.ns, ns)
		}
	}
	for _, name := range append(programs, "systemd", "dbus-daemon") {
		if !names[name] {
			s.t.Errorf("no process called %s among %v", name, names)
		}
	}
}

// leave ends the user's sessions, without mercy for programs that do not heed
// a SIGTERM, and returns when nothing of them is left.
func (s *seat) leave() {
	s.t.Helper()
	s.Run("systemctl", "stop", "--no-block", "lightdm.service", "greetd.service")
	s.Run("systemctl", "stop", "--no-block", "user@"+s.uid+".service", "user-"+s.uid+".slice")
	time.Sleep(2 * time.Second)
	s.Run("pkill", "-KILL", "-u", s.user)
	s.eventually("the user's processes and view to end", func() string {
		if p := s.processes(); len(p) > 0 {
			return fmt.Sprint(p)
		}
		out := s.Must("sh", "-c", `systemctl list-units --plain --no-legend --all "ninefold-view-$0-*"`, s.uid)
		return out
	})
}

// eventually waits until wrong returns "".
func (s *seat) eventually(what string, wrong func() string) {
	s.t.Helper()
	end := time.Now().Add(patience)
	for {
		w := wrong()
		if w == "" {
			return
		}
		if time.Now().After(end) {
			s.t.Fatalf("waited in vain for %s: %s", what, w)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

var notName = regexp.MustCompile(`[^A-Za-z0-9.-]+`)

// fileName is the test's name as the name of a file.
func (s *seat) fileName() string {
	_, name, _ := strings.Cut(s.t.Name(), "/")
	return notName.ReplaceAllString(name, "-")
}
