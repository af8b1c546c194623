package main

import (
	"reflect"
	"testing"

	"ninefold/sessiond/manager"
)

func TestPlainRun(t *testing.T) {
	run := func(profile string, command ...string) runRequest {
		if command == nil {
			command = []string{}
		}
		return runRequest{Request: manager.Request{Profile: profile, Command: command}}
	}
	full := run("desktop", "ls", "-l", "--", "x")
	full.config, full.state, full.User, full.Keep = "/c", "/s", "mia", true
	for _, c := range []struct {
		args []string
		want runRequest
		ok   bool
	}{
		{[]string{"run", "host", "--", "true"}, run("host", "true"), true},
		{[]string{"run", "host", "true"}, run("host", "true"), true},
		{[]string{"run", "host"}, run("host"), true},
		{[]string{"--config", "/c", "--state=/s", "run", "--user", "mia", "--keep", "desktop", "--", "ls", "-l", "--", "x"}, full, true},
		{[]string{"run", "--config=/c", "--keep", "--state", "/s", "--user=mia", "desktop", "ls", "-l", "--", "x"}, full, true},
		{[]string{"run"}, runRequest{}, false},
		{[]string{"run", "--help"}, runRequest{}, false},
		{[]string{"run", "--kep", "host"}, runRequest{}, false},
		{[]string{"run", "--", "host"}, runRequest{}, false},
		{[]string{"run", ""}, runRequest{}, false},
		{[]string{"--keep", "run", "host"}, runRequest{}, false},
		{[]string{"explain", "run"}, runRequest{}, false},
		{[]string{"--config", "run"}, runRequest{}, false},
		{nil, runRequest{}, false},
	} {
		got, ok := plainRun(c.args)
		if ok != c.ok || ok && !reflect.DeepEqual(got, c.want) {
			t.Errorf("%q: got %+v, %v; want %+v, %v", c.args, got, ok, c.want, c.ok)
		}
	}
}
