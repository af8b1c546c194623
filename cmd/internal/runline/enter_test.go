package runline

import (
	"reflect"
	"testing"
)

func TestParseEnter(t *testing.T) {
	enter := func(name string, command ...string) Enter { return Enter{Name: name, Command: command} }
	full := enter("foo", "ls", "-l", "--", "x")
	full.Config, full.State, full.User = "/c", "/s", "mia"
	for _, c := range []struct {
		args []string
		want Enter
		ok   bool
	}{
		{[]string{"context", "enter", "foo"}, Enter{Name: "foo"}, true},
		{[]string{"context", "enter", "foo", "--", "true"}, enter("foo", "true"), true},
		{[]string{"context", "enter", "foo", "true", "-x"}, enter("foo", "true", "-x"), true},
		{[]string{"--config", "/c", "context", "--state=/s", "enter", "--user", "mia", "foo", "--", "ls", "-l", "--", "x"}, full, true},
		{[]string{"context", "enter", "foo", "-x"}, Enter{}, false},
		{[]string{"context", "enter", "foo", "--user", "x"}, Enter{}, false},
		{[]string{"context", "enter", "--", "foo"}, Enter{}, false},
		{[]string{"context", "enter", "--help"}, Enter{}, false},
		{[]string{"context", "enter", "--user"}, Enter{}, false},
		{[]string{"context", "enter"}, Enter{}, false},
		{[]string{"context", "enter", ""}, Enter{}, false},
		{[]string{"context", "run", "foo", "--", "true"}, Enter{}, false},
		{[]string{"run", "context", "enter"}, Enter{}, false},
		{nil, Enter{}, false},
	} {
		got, ok := ParseEnter(c.args)
		if ok != c.ok || ok && (got.Config != c.want.Config || got.State != c.want.State || got.Name != c.want.Name || got.User != c.want.User ||
			len(got.Command)+len(c.want.Command) > 0 && !reflect.DeepEqual(got.Command, c.want.Command)) {
			t.Errorf("%q: got %+v, %v; want %+v, %v", c.args, got, ok, c.want, c.ok)
		}
	}
}
