package config

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func load(t *testing.T, text string) (Config, error) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, FileName), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return Load([]string{filepath.Join(dir, "none"), dir})
}

func TestWhichProfileALoginGets(t *testing.T) {
	c, err := load(t, "[login]\ndefault = \"dev\"\nchoose = [\"games\", \"none\"]\non_failure = \"deny\"\n[login.users]\nmia = \"lab\"\njoe = \"none\"\n")
	if err != nil {
		t.Fatal(err)
	}
	l := c.Login
	if l.For("mia") != "lab" || l.For("joe") != "" || l.For("eve") != "dev" || !l.Deny() {
		t.Errorf("%+v", l)
	}
	for _, may := range []struct{ user, profile string }{{"mia", "lab"}, {"mia", "games"}, {"eve", "dev"}, {"eve", "none"}, {"joe", "none"}} {
		if !l.May(may.user, may.profile) {
			t.Errorf("%v may not", may)
		}
	}
	for _, not := range []struct{ user, profile string }{{"mia", "dev"}, {"eve", "lab"}, {"joe", "dev"}, {"joe", ""}} {
		if l.May(not.user, not.profile) {
			t.Errorf("%v may", not)
		}
	}
	if c, err := load(t, "[login]\ndefault = \"dev\"\n"); err != nil || c.Login.May("mia", "none") || c.Login.Deny() {
		t.Errorf("without a list a user may leave the default: %+v %v", c, err)
	}
	if c, err := Load([]string{t.TempDir()}); err != nil || c.Login.For("mia") != "" || c.Trust.CA != "host" {
		t.Errorf("without a file: %+v %v", c, err)
	}
}

func TestMistakesAreToldWithTheirLine(t *testing.T) {
	for text, want := range map[string]string{
		"[login]\ndefault = \"a/b\"\n":           "ninefold.toml:2:1",
		"[login]\nchoose = [\"ok\", \"../x\"]\n": "ninefold.toml:2:1",
		"[login]\nuids = [\"9-1\"]\n":            "FIRST-LAST",
		"[login]\non_failure = \"maybe\"\n":      `"host" or "deny"`,
		"[login]\ndefalt = \"dev\"\n":            `did you mean "default"?`,
		"[login.users]\nmia = \"\"\n":            "cannot be the name of a profile",
		"[login\n":                               "ninefold.toml:1",
	} {
		if _, err := load(t, text); !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", text, err, want)
		}
	}
	dir := t.TempDir()
	if err := syscall.Mkfifo(filepath.Join(dir, FileName), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load([]string{dir}); err == nil {
		t.Error("a FIFO is no configuration")
	}
}

func TestHowMuchMemoryMayBeMounted(t *testing.T) {
	for text, want := range map[string]int64{"": MemoryDefault, "[mount]\nmemory = \"3M\"\n": 3 << 20, "[mount]\nmemory = \"0\"\n": 0} {
		if c, err := load(t, text); err != nil || c.Mount.MemoryBytes() != want {
			t.Errorf("%q: %d %v", text, c.Mount.MemoryBytes(), err)
		}
	}
	if _, err := load(t, "[mount]\nmemory = \"much\"\n"); !errors.Is(err, ErrInvalid) {
		t.Errorf("a mistake: %v", err)
	}
}
