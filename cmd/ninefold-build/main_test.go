package main

import (
	"testing"

	"ninefold/cmd/internal/exit"
)

func TestParse(t *testing.T) {
	r, err := parse([]string{"--config=/c", "--state", "/s", "--relock=true", "--json=true", "--", "a", "b"})
	if err != nil {
		t.Fatal(err)
	}
	if r.config != "/c" || r.state != "/s" || !r.relock || !r.json || r.offline || len(r.recipes) != 2 {
		t.Errorf("got %+v", r)
	}
	for _, bad := range [][]string{{}, {"--nosuch", "a"}, {"--relock=perhaps", "a"}} {
		if _, err := parse(bad); err == nil {
			t.Errorf("%q is accepted", bad)
		} else if code, hint := exit.Of(err, rules); code != exit.Usage || hint == "" {
			t.Errorf("%q: exit code %d, hint %q", bad, code, hint)
		}
	}
}
