package session

import (
	"reflect"
	"testing"

	"ninefold/sessiond/manager"
)

func TestPlain(t *testing.T) {
	run := func(profile string, command ...string) Request {
		return Request{Request: manager.Request{Profile: profile, Command: command}}
	}
	full := run("desktop", "ls", "-l", "--", "x")
	full.Config, full.State, full.User, full.Keep = "/c", "/s", "mia", true
	for _, c := range []struct {
		args []string
		want Request
		ok   bool
	}{
		{[]string{"run", "host", "--", "true"}, run("host", "true"), true},
		{[]string{"run", "host", "true"}, run("host", "true"), true},
		{[]string{"run", "host"}, run("host"), true},
		{[]string{"--config", "/c", "--state=/s", "run", "--user", "mia", "--keep", "desktop", "--", "ls", "-l", "--", "x"}, full, true},
		{[]string{"run", "--config=/c", "--keep", "--state", "/s", "--user=mia", "desktop", "ls", "-l", "--", "x"}, full, true},
		{[]string{"run", "desktop", "--user", "mia", "--state=/s", "--keep", "--config", "/c", "--", "ls", "-l", "--", "x"}, full, true},
		{[]string{"run", "host", "--", "--user", "x"}, run("host", "--user", "x"), true},
		{[]string{"run", "host", "ls", "--user", "x"}, run("host", "ls", "--user", "x"), true},
		{[]string{"run", "host", "--kep", "--", "true"}, Request{}, false},
		{[]string{"run", "host", "--user"}, Request{}, false},
		{[]string{"run"}, Request{}, false},
		{[]string{"run", "--help"}, Request{}, false},
		{[]string{"run", "--kep", "host"}, Request{}, false},
		{[]string{"run", "--", "host"}, Request{}, false},
		{[]string{"run", ""}, Request{}, false},
		{[]string{"--keep", "run", "host"}, Request{}, false},
		{[]string{"explain", "run"}, Request{}, false},
		{[]string{"--config", "run"}, Request{}, false},
		{nil, Request{}, false},
	} {
		got, ok := Plain(c.args)
		if ok != c.ok || ok && !reflect.DeepEqual(got, c.want) {
			t.Errorf("%q: got %+v, %v; want %+v, %v", c.args, got, ok, c.want, c.ok)
		}
	}
}
