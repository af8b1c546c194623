package login

import (
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ninefold/sessiond/config"
	"ninefold/sessiond/door"
	"ninefold/sessiond/identity"
)

func TestWhatIsOffered(t *testing.T) {
	dir := t.TempDir()
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	files := map[string]string{"passwd": "mia:x:1000:1000::/home/mia:/bin/sh\njoe:x:1001:1001::/home/joe:/bin/sh\n", "group": ""}
	many := `"none"`
	for _, name := range []string{"dev", "games"} {
		files["profiles/"+name+".toml"] = "version = 1\nbase = \"host\"\n"
	}
	for i := range 26 {
		name := strings.Repeat(string(rune('a'+i)), 60)
		files["profiles/"+name+".toml"] = "version = 1\nbase = \"host\"\n"
		many += `, "` + name + `"`
	}
	for name, text := range files {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for text, want := range map[string]map[uint32]string{
		"[login]\ndefault = \"dev\"\nchoose = [\"games\", \"none\"]\n":                                       {1000: ""},
		"[login]\nask = true\ndefault = \"dev\"\n":                                                           {1000: ""},
		"[login]\nask = true\ndefault = \"dev\"\nchoose = [\"dev\", \"absent\"]\n":                           {1000: ""},
		"[login]\nask = true\nchoose = [\"games\", \"none\", \"games\"]\n[login.users]\njoe = \"dev\"\n":     {1000: "none games", 1001: "dev games none", 4242: ""},
		"[login]\nask = true\nchoose = [\"absent\", \"none\", \"games\"]\n[login.users]\njoe = \"absent\"\n": {1001: "absent none games"},
	} {
		if err := os.WriteFile(filepath.Join(dir, config.FileName), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		live := config.Follow([]string{dir}, log, nil)
		if err := live.State().Err; err != nil {
			t.Fatal(err)
		}
		l := &Logins{log: log, users: identity.Host{Etc: dir, Getent: "/bin/false"}}
		for uid, want := range want {
			got := l.choices(t.Context(), live.State(), door.Request{UID: uid})
			if s := strings.ReplaceAll(strings.Join(got, " "), "NINEFOLD_CHOICE=", ""); s != want {
				t.Errorf("%q: uid %d is offered %q, want %q", text, uid, s, want)
			}
		}
	}
	if err := os.WriteFile(filepath.Join(dir, config.FileName), []byte("[login]\nask = true\nchoose = ["+many+"]\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	l := &Logins{log: log, users: identity.Host{Etc: dir}}
	got := l.choices(t.Context(), config.Follow([]string{dir}, log, nil).State(), door.Request{UID: 1000})
	if _, err := (door.Reply{Verdict: door.Host, Environment: got}).Encode(); err != nil || len(got) < 10 {
		t.Errorf("of many: %d, %v", len(got), err)
	}
}
