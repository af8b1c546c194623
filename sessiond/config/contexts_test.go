package config

import (
	"errors"
	"testing"
)

func TestContextsOfUsers(t *testing.T) {
	for text, want := range map[string]Contexts{
		"":                             {Users: true},
		"[contexts]\nusers = false\n":  {},
		"[contexts]\nsize = \"20G\"\n": {Size: "20G", Users: true},
		"[contexts]\neach = 2\nuser_size = \"32M\"\n": {Users: true, Each: 2, UserSize: "32M"},
	} {
		if c, err := load(t, text); err != nil || c.Contexts != want {
			t.Errorf("%q: %+v, %v", text, c.Contexts, err)
		}
	}
	if c, err := Load([]string{t.TempDir()}); err != nil || !c.Contexts.Users || c.Contexts.OfEach() != ContextsEach || c.Contexts.UserBytes() != ContextsUserSize || c.Contexts.Bytes() != 0 {
		t.Errorf("without a file: %+v, %v", c.Contexts, err)
	}
	c := Contexts{Each: 2, UserSize: "none"}
	if c.OfEach() != 2 || c.UserBytes() != 0 || (Contexts{UserSize: "32M"}).UserBytes() != 32<<20 {
		t.Errorf("%+v is not what it says", c)
	}
	for _, text := range []string{"each = -1", "each = 1001", `user_size = "1M"`, `user_size = "much"`, `size = "none"`} {
		if _, err := load(t, "[contexts]\n"+text+"\n"); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", text, err)
		}
	}
}
