package recipefile

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"ninefold/roots/recipe"
	"ninefold/tests/needs"
)

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestLoad(t *testing.T) {
	etc, lib := t.TempDir(), t.TempDir()
	write(t, filepath.Join(etc, "a.toml"), "version = 1\nname = \"a\"\nfrom = \"host\"\nsummary = \"etc\"\n")
	write(t, filepath.Join(lib, "a.toml"), "version = 1\nname = \"a\"\nfrom = \"host\"\nsummary = \"lib\"\n")
	write(t, filepath.Join(lib, "b.toml"), "version = 1\nname = \"b\"\n[source]\ndirectory = \"tree\"\n")
	write(t, filepath.Join(lib, "notes.txt"), "not a recipe")
	s, err := Load(etc, lib, filepath.Join(lib, "absent"))
	if err != nil {
		t.Fatal(err)
	}
	a, _ := s.Get("a")
	b, _ := s.Get("b")
	if a.Summary != "etc" {
		t.Errorf("a comes from %s", a.File)
	}
	if b.Source.Directory != filepath.Join(lib, "tree") {
		t.Errorf("directory is %s", b.Source.Directory)
	}
}

func TestLoadErrors(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "a.toml"), "version = 1\nname = \"b\"\nfrom = \"host\"\n")
	write(t, filepath.Join(dir, "c.toml"), "version = 1\nname = \"c\"\nform = \"host\"\n")
	_, err := Load(dir)
	if err == nil || !errors.Is(err, recipe.ErrInvalid) ||
		!strings.Contains(err.Error(), `a.toml:2:1: the recipe is called "b"`) ||
		!strings.Contains(err.Error(), `c.toml:3:1: unknown key "form"; did you mean "from"?`) {
		t.Errorf("got %v", err)
	}
}

func TestParseReference(t *testing.T) {
	const commit = "0123456789abcdef0123456789abcdef01234567"
	ref, err := ParseReference("git+ssh://git@example.org/r.git@" + commit + ":a/b.toml")
	if err != nil || ref.URL != "ssh://git@example.org/r.git" || ref.Commit != commit || ref.Path != "a/b.toml" {
		t.Errorf("got %+v, %v", ref, err)
	}
	if ref, err := ParseReference("git+https://example.org/r@" + commit); err != nil || ref.Path != DefaultPath {
		t.Errorf("got %+v, %v", ref, err)
	}
	for _, bad := range []string{
		"https://example.org/r@" + commit, "git+https://example.org/r", "git+https://example.org/r@main",
		"git+https://example.org/r@" + commit[:39], "git+ext::sh -c id@" + commit, "git+http://example.org/r@" + commit,
		"git+--upload-pack=id@" + commit, "git+ssh://-oProxyCommand=id/r@" + commit, "git+file://host/r@" + commit,
		"git+https://example.org/r@" + commit + ":/etc/passwd", "git+https://example.org/r@" + commit + ":../x",
	} {
		if ref, err := ParseReference(bad); !errors.Is(err, ErrReference) {
			t.Errorf("%s: got %+v, %v", bad, ref, err)
		}
	}
}

func TestGit(t *testing.T) {
	if _, err := exec.LookPath("git"); err != nil {
		needs.Lacks(t, "git is not installed")
	}
	dir := t.TempDir()
	command := func(args ...string) string {
		cmd := exec.Command("git", args...)
		cmd.Dir = dir
		cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "GIT_CONFIG_NOSYSTEM=1",
			"GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@example.org", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@example.org"}
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("git %v: %v: %s", args, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	command("init", "-q")
	write(t, filepath.Join(dir, "recipe.toml"), "first")
	write(t, filepath.Join(dir, "big.toml"), strings.Repeat("#", 2<<20))
	command("add", ".")
	command("commit", "-q", "-m", "one")
	first := command("rev-parse", "HEAD")
	write(t, filepath.Join(dir, "recipe.toml"), "second")
	command("commit", "-q", "-a", "-m", "two")

	get := func(text string) (string, error) {
		ref, err := ParseReference(text)
		if err != nil {
			t.Fatal(err)
		}
		data, err := Git(context.Background(), ref)
		return string(data), err
	}
	url := "git+file://" + dir + "@"
	if got, err := get(url + first); err != nil || got != "first" {
		t.Errorf("got %q, %v", got, err)
	}
	if got, err := get(url + command("rev-parse", "HEAD")); err != nil || got != "second" {
		t.Errorf("got %q, %v", got, err)
	}
	for _, bad := range []string{first + ":none.toml", first + ":big.toml", strings.Repeat("0", 39) + "1"} {
		if got, err := get(url + bad); err == nil {
			t.Errorf("%s: got %d bytes", bad, len(got))
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	ref, _ := ParseReference(url + first)
	if _, err := Git(ctx, ref); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// Every recipe that the project ships can be read and stands on others that
// are there.
func TestShippedRecipes(t *testing.T) {
	s, err := Load("../../../recipes")
	if err != nil {
		t.Fatal(err)
	}
	if len(s.Names()) == 0 {
		t.Fatal("there are none")
	}
	for _, name := range s.Names() {
		c, err := s.Chain(name)
		if err != nil {
			t.Error(err)
			continue
		}
		if c.Last().Summary == "" {
			t.Errorf("%s has no summary", name)
		}
		if c.Source().Suite == "" && !c.OnHost() {
			t.Errorf("%s has no suite", name)
		}
	}
}
