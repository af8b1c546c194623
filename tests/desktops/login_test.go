package desktops

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"ninefold/roots/recipe"
	"ninefold/tests/machine"
)

// timed are the desktops whose login is timed, and the machine that has them
// installed, too.
var timed = []struct{ suite, name string }{
	{"trixie", "labwc"}, {"trixie", "xfce"}, {"trixie", "gnome"}, {"bookworm", "sway12"}, {"bookworm", "xfce12"},
}

// rounds is how many logins of each kind are timed.
const rounds = 7

// BenchmarkLogin times logins from the password to the usable desktop, in
// turns: alice's to the desktop that the machine has installed, bob's to the
// same one in its image.
func BenchmarkLogin(b *testing.B) {
	machine.Able(b)
	of := wanted(b)
	state := images(b, of)
	var lines []string
	for _, what := range timed {
		i := slices.IndexFunc(of, func(d desktop) bool { return d.name() == what.name })
		if i < 0 {
			continue
		}
		d := &of[i]
		b.Run(what.suite+"/"+what.name, func(b *testing.B) {
			m := machine.Boot(b, what.suite, machine.Options{State: state, Set: native(b, d)})
			if err := m.Install(b.Context(), top(b)); err != nil {
				b.Fatal(err)
			}
			m.For(b).Must("sh", "-ec", stamps)
			var theirs, ours []time.Duration
			for round := range rounds + 1 {
				t := take(b, m, d, "alice").time(d, d.entry)
				o := take(b, m, d, "bob").time(d, d.key())
				if round > 0 { // the first one fills the caches
					theirs, ours = append(theirs, t), append(ours, o)
				}
			}
			t, o := median(theirs).Seconds(), median(ours).Seconds()
			lines = append(lines, fmt.Sprintf("%-7s on %-9s %5.2f s installed, %5.2f s in its image: %.2fx   (%s; %s)",
				d.name(), what.suite, t, o, o/t, seconds(theirs), seconds(ours)))
		})
	}
	fmt.Printf("\nfrom the password to the usable desktop, medians of %d logins in turns:\n%s\n", rounds, strings.Join(lines, "\n"))
}

// native is the set of a machine that has the desktop itself, by the same
// packages as its image, and no other desktop.
func native(t testing.TB, d *desktop) *machine.Set {
	t.Helper()
	s := *machine.Greeters
	s.Name = "native-" + d.name()
	s.Packages = slices.DeleteFunc(slices.Clone(s.Packages), func(p string) bool { return p == "gdm3" || p == "sddm" })
	for name := d.of(); !strings.HasSuffix(name, "-base"); {
		file := top(t) + "/recipes/" + name + ".toml"
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		r, err := recipe.Parse(file, text)
		if err != nil {
			t.Fatal(err)
		}
		s.Packages = append(s.Packages, r.Packages...)
		name = r.From
	}
	s.Steps = nil
	for _, step := range machine.Greeters.Steps {
		s.Steps = append(s.Steps, strings.ReplaceAll(step, " gdm.service sddm.service", ""))
	}
	return &s
}

// stamps has greeters note when a password was found right.
const stamps = `cat >/usr/local/bin/stamp <<'END'
#!/bin/sh
date +%s%N >/run/stamp
END
chmod 755 /usr/local/bin/stamp
for f in lightdm greetd; do echo 'auth optional pam_exec.so quiet /usr/local/bin/stamp' >>/etc/pam.d/$f; done`

// time logs in by the entry and out again, and returns how long it took from
// the password until the desktop could be used, by the machine's clock.
func (s *seat) time(d *desktop, entry string) time.Duration {
	s.t.Helper()
	defer s.leave()
	var usable string
	login := func() {
		s.Must("rm", "-f", "/run/stamp")
		switch {
		case len(d.windows) > 0:
			usable = s.timeX(d, entry)
		case d.entry == "gnome":
			usable = s.timeGnome(d, entry)
		default:
			usable = s.timeWlroots(d, entry)
		}
	}
	if entry == d.key() {
		s.enter(login)
	} else {
		login()
	}
	from, err := strconv.ParseInt(s.Must("cat", "/run/stamp"), 10, 64)
	if err != nil {
		s.t.Fatal(err)
	}
	to, err := strconv.ParseInt(strings.TrimSpace(usable), 10, 64)
	if err != nil {
		s.t.Fatal(err)
	}
	return time.Duration(to - from)
}

// timeX waits for the windows of the desktop.
func (s *seat) timeX(d *desktop, entry string) string {
	s.t.Helper()
	on := s.lightdm(entry)
	const until = `for class in "$@"; do until xdotool search --onlyvisible --class "$class" >/dev/null 2>&1; do sleep 0.02; done; done; date +%s%N`
	return s.Must(append([]string{"env", "DISPLAY=" + on.Display, "XAUTHORITY=" + on.Auth, "sh", "-c", until, "sh"}, d.windows...)...)
}

// timeWlroots waits for a terminal that the desktop starts by itself.
func (s *seat) timeWlroots(d *desktop, entry string) string {
	s.t.Helper()
	const terminal = `foot sh -c 'date +%s%N >~/usable; exec sleep 1000'`
	name, text := "labwc/autostart", "swaybg --color '#2e4057' &\nwaybar &\n"+terminal+" &\n"
	if d.entry == "sway" {
		name, text = "sway/config", "include /etc/sway/config\nexec "+terminal+"\n"
	}
	s.setting(d, name, text)
	s.greetd(d, entry, headless)
	var r machine.Result
	s.eventually("the terminal", func() string {
		if r = s.Run("cat", "/home/"+s.user+"/usable"); !r.OK() || r.Stdout == "" {
			return "still none"
		}
		return ""
	})
	return r.Stdout
}

// timeGnome waits until the shell has started up.
func (s *seat) timeGnome(d *desktop, entry string) string {
	s.t.Helper()
	s.setting(d, shellUnit, shellWithoutScreen)
	s.greetd(d, entry, []string{"XDG_SESSION_TYPE=wayland"})
	const until = `until busctl --user call org.gnome.Shell /org/gnome/Shell org.gnome.Shell Eval s '!Main.layoutManager._startingUp' 2>/dev/null | grep -q '"true"'
do sleep 0.02; done; date +%s%N`
	r := s.as("sh", "-c", until)
	if !r.OK() {
		s.t.Fatal(r)
	}
	return r.Stdout
}

func median(list []time.Duration) time.Duration {
	return slices.Sorted(slices.Values(list))[len(list)/2]
}

func seconds(list []time.Duration) string {
	var out []string
	for _, d := range list {
		out = append(out, strconv.FormatFloat(d.Seconds(), 'f', 2, 64))
	}
	return strings.Join(out, " ")
}
