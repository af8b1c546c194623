package profile

import (
	"strings"
	"testing"
)

func TestAFileAsBase(t *testing.T) {
	for base, want := range map[string]string{
		`base = "file:/srv/work.erofs"`:                             "",
		`base = "file:srv/work.erofs"`:                              "absolute path",
		`base = "file:/srv/../x"`:                                   "absolute path",
		`base = "file:/"`:                                           "absolute path",
		`base = "file:/a\nb"`:                                       "absolute path",
		"base = \"file:/srv/work.erofs\"\nruntime = \"xfce\"":       "no runtime",
		"base = \"file:/srv/work.erofs\"\ncomponents = [\"files\"]": "no runtime",
		"base = \"file:/srv/work.erofs\"\n[keep]\nroot = \"user\"":  "nothing is kept",
	} {
		p, err := Parse("work.toml", []byte("version = 1\n"+base+"\n"))
		if want == "" {
			if file, ok := ImageFile(p.Base); err != nil || !ok || file != "/srv/work.erofs" {
				t.Errorf("%q: %v", base, err)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", base, err)
		}
	}
	if _, err := OnFile("work.erofs"); err == nil {
		t.Error("a relative name was taken")
	}
}
