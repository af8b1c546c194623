package runline

import (
	"reflect"
	"testing"
)

func TestParse(t *testing.T) {
	run := func(profile string, command ...string) Run {
		return Run{Profile: profile, Command: command}
	}
	full := run("desktop", "ls", "-l", "--", "x")
	visit := run("desktop", "ls")
	visit.Guest = true
	asked := run("desktop", "-c")
	asked.Guest, asked.For = true, 1000
	full.Config, full.State, full.User, full.Keep = "/c", "/s", "mia", true
	for _, c := range []struct {
		args []string
		want Run
		ok   bool
	}{
		{[]string{"run", "host", "--", "true"}, run("host", "true"), true},
		{[]string{"run", "host", "true"}, run("host", "true"), true},
		{[]string{"run", "host"}, run("host"), true},
		{[]string{"--config", "/c", "--state=/s", "run", "--user", "mia", "--keep", "desktop", "--", "ls", "-l", "--", "x"}, full, true},
		{[]string{"run", "--config=/c", "--keep", "--state", "/s", "--user=mia", "desktop", "ls", "-l", "--", "x"}, full, true},
		{[]string{"run", "desktop", "--user", "mia", "--state=/s", "--keep", "--config", "/c", "--", "ls", "-l", "--", "x"}, full, true},
		{[]string{"run", "--guest", "desktop", "--", "ls"}, visit, true},
		{[]string{"run", "desktop", "--guest", "ls"}, visit, true},
		{[]string{"run", "--guest", "--for", "1000", "desktop", "--", "-c"}, asked, true},
		{[]string{"run", "--guest", "--for", "0", "desktop"}, Run{}, false},
		{[]string{"run", "--guest", "--for", "bob", "desktop"}, Run{}, false},
		{[]string{"run", "host", "--", "--user", "x"}, run("host", "--user", "x"), true},
		{[]string{"run", "host", "ls", "--user", "x"}, run("host", "ls", "--user", "x"), true},
		{[]string{"run", "host", "--kep", "--", "true"}, Run{}, false},
		{[]string{"run", "host", "--user"}, Run{}, false},
		{[]string{"run"}, Run{}, false},
		{[]string{"run", "--help"}, Run{}, false},
		{[]string{"run", "--kep", "host"}, Run{}, false},
		{[]string{"run", "--", "host"}, Run{}, false},
		{[]string{"run", ""}, Run{}, false},
		{[]string{"--keep", "run", "host"}, Run{}, false},
		{[]string{"explain", "run"}, Run{}, false},
		{[]string{"--config", "run"}, Run{}, false},
		{nil, Run{}, false},
	} {
		got, ok := Parse(c.args)
		if ok != c.ok || ok && !reflect.DeepEqual(got, c.want) {
			t.Errorf("%q: got %+v, %v; want %+v, %v", c.args, got, ok, c.want, c.ok)
		}
	}
}
