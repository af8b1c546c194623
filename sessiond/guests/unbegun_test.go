package guests

import (
	"context"
	"os"
	"path/filepath"
	"testing"
)

// TestWhatWasNeverBegun: a keeper that was killed before its guest was written down
// leaves nothing after a sweep, and nobody else's is touched.
func TestWhatWasNeverBegun(t *testing.T) {
	g := &Guests{dir: t.TempDir(), locks: t.TempDir(), users: t.TempDir()}
	if err := os.MkdirAll(g.taken(), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		g.locks + "/61200":                "guest-61200\n",
		g.locks + "/61201":                "",
		g.locks + "/61202":                "some-service\n",
		g.locks + "/1000":                 "guest-1000\n",
		g.taken() + "/61203" + halfRecord: "half",
		g.taken() + "/x" + halfRecord:     "not ours",
	} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	live, err := lock(g.locks, 61204)
	if err != nil || live == nil {
		t.Fatal(live, err)
	}
	defer live.give()
	half := g.record(61204) + halfRecord
	if err := os.WriteFile(half, []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := g.Sweep(context.Background()); err != nil {
		t.Fatal(err)
	}
	for name, stays := range map[string]bool{
		g.locks + "/61200": false, g.locks + "/61201": false, g.locks + "/61203": false, g.record(61203) + halfRecord: false,
		g.locks + "/61202": true, g.locks + "/1000": true, g.locks + "/61204": true, half: true, g.taken() + "/x" + halfRecord: true,
	} {
		if _, err := os.Lstat(name); (err == nil) != stays {
			t.Errorf("%s: %v", filepath.Base(name), err)
		}
	}
}
