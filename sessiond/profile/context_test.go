package profile

import (
	"strings"
	"testing"
)

func TestAContextAsBase(t *testing.T) {
	for text, want := range map[string]string{
		`base = "context:work"`:                               "",
		"base = \"context:work\"\n[keep]\nroot = \"user\"":    "",
		`base = "context:"`:                                   "context: and a name",
		`base = "context:../work"`:                            "context: and a name",
		`base = "context:Work"`:                               "context: and a name",
		`runtime = "context:work"`:                            "not the name of an image",
		"base = \"context:work\"\nruntime = \"xfce\"":         "no runtime",
		"base = \"context:work\"\ncomponents = [\"files\"]":   "no runtime",
		"base = \"context:w\"\n[isolation]\nuser=\"dynamic\"": "no guest",
	} {
		p, err := Parse("work.toml", []byte("version = 1\n"+text+"\n"))
		if want == "" {
			if name, ok := Context(p.Base); err != nil || !ok || name != "work" {
				t.Errorf("%q: %v", text, err)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", text, err)
		}
	}
	if IsImage("context:work") || !IsImage("context") || !IsImage("some/context:work") {
		t.Error("what is an image's name, and what a context's")
	}
}
