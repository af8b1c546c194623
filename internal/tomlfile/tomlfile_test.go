package tomlfile

import (
	"errors"
	"os"
	"reflect"
	"strings"
	"testing"
)

type digest [2]byte

func (d *digest) UnmarshalText(b []byte) error {
	if len(b) != 2 {
		return errors.New("want two characters")
	}
	copy(d[:], b)
	return nil
}

type common struct {
	Summary string `toml:"summary"`
}

type document struct {
	common
	Name     string   `toml:"name"`
	Packages []string `toml:"packages"`
	Source   struct {
		Suite      string `toml:"suite"`
		Recommends bool   `toml:"recommends"`
	} `toml:"source"`
	Users []struct {
		Name   string            `toml:"name"`
		UID    int               `toml:"uid"`
		Slaves map[string]string `toml:"slaves"`
		Deep   []struct {
			X int `toml:"x"`
		} `toml:"deep"`
	} `toml:"users"`
	Environment map[string]string             `toml:"environment"`
	Nets        map[string]struct{ MTU *int } `toml:"nets"`
	Sum         digest                        `toml:"sum"`
	Free        map[string]any                `toml:"free"`
	Hidden      string                        `toml:"-"`
}

func TestDecodeFillsEverything(t *testing.T) {
	var d document
	err := Decode("x.toml", []byte(`
name = "a"
summary = "s"
packages = ["x", # why
  "y"]
sum = "ab"
source.suite = "trixie"
users = [{name = "u", uid = 3, slaves = {a = "b"}, deep = [{x = 1}]}]
[environment]
anything = "goes"
[nets.lan]
MTU = 9
[free]
a = [1, {b = 2}]
`), &d)
	if err != nil {
		t.Fatal(err)
	}
	if d.Name != "a" || d.Summary != "s" || !reflect.DeepEqual(d.Packages, []string{"x", "y"}) ||
		d.Source.Suite != "trixie" || d.Users[0].Deep[0].X != 1 || d.Users[0].Slaves["a"] != "b" ||
		*d.Nets["lan"].MTU != 9 || d.Sum != (digest{'a', 'b'}) {
		t.Errorf("decoded to %+v", d)
	}
}

func TestDecodeErrors(t *testing.T) {
	for _, tt := range []struct{ name, text, want string }{
		{"top level", "name = \"a\"\n  pakages = []", `x.toml:2:3: unknown key "pakages"; did you mean "packages"?`},
		{"swapped letters", "naem = 1", `x.toml:1:1: unknown key "naem"; did you mean "name"?`},
		{"in a table", "[source]\nsuit = 1", `x.toml:2:1: unknown key "suit" in [source]; did you mean "suite"?`},
		{"dotted", "source.suit = 1", `x.toml:1:8: unknown key "suit" in [source]; did you mean "suite"?`},
		{"case matters", "Name = \"a\"", `x.toml:1:1: unknown key "Name"; did you mean "name"?`},
		{"array of tables", "[[users]]\nname=\"a\"\n[[users]]\nuuid=1", `x.toml:4:1: unknown key "uuid" in [users]; did you mean "uid"?`},
		{"inline in array", "users = [\n {name=\"a\"},\n {nam=\"a\"}]", `x.toml:3:3: unknown key "nam" in [users]; did you mean "name"?`},
		{"below array of tables", "[[users]]\n[[users.deep]]\ny=1", `x.toml:3:1: unknown key "y" in [users.deep]; known are x`},
		{"map element", "[nets.lan]\nmtu=1", `x.toml:2:1: unknown key "mtu" in [nets.lan]; known are MTU`},
		{"unknown table once", "[sauce]\na=1\nb=2\n[sauce.c]\nd=1", `x.toml:1:2: unknown key "sauce"; known are`},
		{"hidden field", "Hidden = \"a\"", `x.toml:1:1: unknown key "Hidden"`},
		{"wrong type", "name = 3", `x.toml:1:1: "name" is a whole number; it has to be a string`},
		{"wrong type in list", "packages = [\"a\",\n 3]", `x.toml:2:2: "packages" is a whole number; it has to be a string`},
		{"table for string", "[name]", `x.toml:1:2: "name" is a table; it has to be a string`},
		{"tables for table", "[[source]]", `x.toml:1:3: "source" is an array of tables; it has to be a table`},
		{"list for table", "source = []", `x.toml:1:1: "source" is a list; it has to be a table`},
		{"syntax", "name = \"a\"\npackages = [", `x.toml:2:`},
		{"twice", "name = \"a\"\nname = \"b\"", `x.toml:2:1:`},
		{"text unmarshaler", "sum = \"abc\"", `want two characters`},
		{"number too large", "[[users]]\nuid = 99999999999999999999", `x.toml:2:`},
		{"not utf-8", "name = \"\xff\"", `x.toml:1:`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var d document
			err := Decode("x.toml", []byte(tt.text), &d)
			if err == nil {
				t.Fatalf("no error, decoded to %+v", d)
			}
			if !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error is\n%v\nwant\n%s", err, tt.want)
			}
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("more than one error:\n%v", err)
			}
		})
	}
}

func TestAllUnknownKeysAreReported(t *testing.T) {
	var d document
	err := Decode("x.toml", []byte("one = 1\nname = 2\n[source]\ntwo = 2\n[[users]]\nthree = 3"), &d)
	var all Errors
	if !errors.As(err, &all) || len(all) != 4 || !errors.Is(err, ErrUnknownKey) {
		t.Fatalf("got %v, want four errors, unknown keys among them", err)
	}
	for i, line := range []int{1, 2, 4, 6} {
		if all[i].Line != line {
			t.Errorf("error %d is on line %d, want %d", i, all[i].Line, line)
		}
	}
}

func TestTooLarge(t *testing.T) {
	var d document
	err := Decode("x.toml", []byte(strings.Repeat("#", MaxSize+1)), &d)
	if !errors.Is(err, ErrTooLarge) {
		t.Errorf("got %v", err)
	}
}

func TestIndex(t *testing.T) {
	p := Index("x.toml", []byte("name = 'a'\npackages = [\n 'a',\n 'b',\n]\n[source]\nsuite = 'x'\n[[users]]\nname='a'\n[[users]]\nname='b'\n"))
	for _, tt := range []struct {
		path string
		line int
	}{{"name", 1}, {"packages", 2}, {"packages/1", 4}, {"source/suite", 7}, {"source/mirror", 6}, {"users/1/name", 11}, {"none", 0}} {
		if got := p.At(strings.Split(tt.path, "/")...).Line; got != tt.line {
			t.Errorf("%s is on line %d, want %d", tt.path, got, tt.line)
		}
	}
	if got := p.Error(os.ErrNotExist, "gone", "packages", "0"); got.Error() != "x.toml:3:2: gone" || !errors.Is(got, os.ErrNotExist) {
		t.Errorf("got %v", got)
	}
}

func TestNearest(t *testing.T) {
	for _, tt := range []struct{ word, all, want string }{
		{"pakages", "name packages source", "packages"},
		{"xfec4", "xfce4 xfe xfig", "xfce4"},
		{"zzz", "name packages", ""},
		{"a", "b", ""},
		{"", "a", ""},
		{"same", "some same", "same"},
	} {
		if got := Nearest(tt.word, strings.Fields(tt.all)); got != tt.want {
			t.Errorf("Nearest(%q) = %q, want %q", tt.word, got, tt.want)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add("name = 'a'\n[source]\nsuit = 1\n[[users]]\nx=[{a=1},[2]]")
	f.Add("users = [{deep=[{x=1}]}]\n[users.a]")
	f.Add("[[a.b]]\n[a.b.c]\n[[a]]")
	f.Add("a.b.c = {d = {e = []}}\n\"\" = 1")
	f.Fuzz(func(t *testing.T, text string) {
		var d document
		err := Decode("x.toml", []byte(text), &d)
		if err != nil && !strings.HasPrefix(err.Error(), "x.toml:") {
			t.Errorf("error does not name the file: %v", err)
		}
		Index("x.toml", []byte(text))
	})
}
