package languages

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ninefold/roots/languages"
	"ninefold/roots/recipe/recipefile"
)

// examples are the recipes of the manual, and what a program that their managers install says.
var examples = []struct {
	name string
	argv []string
	want string
}{
	{"node-which", []string{"node-which", "ls"}, "/usr/bin/ls\n"},
	{"go-hello", []string{"hello"}, "Ahoy, world!\n"},
}

// TestTheManualsExamples reads each and its lock file; make long, which takes minutes and the network, also builds it
// twice with the real manager, and runs what that installed.
func TestTheManualsExamples(t *testing.T) {
	dir := t.TempDir()
	recipes := filepath.Join(dir, "config", "recipes")
	manual, err := os.ReadFile("../../docs/recipes.md")
	if err != nil {
		t.Fatal(err)
	}
	base, err := os.ReadFile("../../recipes/debian-base.toml")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(recipes, os.DirFS("testdata")); err != nil {
		t.Fatal(err)
	}
	// Under its own name it would make a module of the directory.
	if err := os.Rename(filepath.Join(recipes, "go", "go.mod.txt"), filepath.Join(recipes, "go", "go.mod")); err != nil {
		t.Fatal(err)
	}
	files := map[string]string{"recipes/debian-base.toml": string(base)}
	for _, e := range examples {
		head := "version = 1\nname = \"" + e.name + "\"\n"
		_, rest, ok := strings.Cut(string(manual), "```toml\n"+head)
		if !ok {
			t.Fatalf("the manual has no recipe %s", e.name)
		}
		text, _, _ := strings.Cut(rest, "```")
		files["recipes/"+e.name+".toml"] = head + text
		files["profiles/"+e.name+".toml"] = "version = 1\nbase = \"" + e.name + "\"\n"
	}
	for name, text := range files {
		name = filepath.Join(dir, "config", name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o755), os.WriteFile(name, []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	for _, e := range examples {
		r, err := recipefile.File(filepath.Join(recipes, e.name+".toml"))
		if err != nil || len(r.Fetch) != 1 {
			t.Fatalf("%v: %v", r, err)
		}
		text, err := os.ReadFile(r.Fetch[0].Lock)
		if err != nil {
			t.Fatal(err)
		}
		if p, err := languages.Read(r.Fetch[0].Lock, text, "", "/run/fetched"); err != nil || len(p.Files) < 2 {
			t.Errorf("%s asks for %v: %v", e.name, p, err)
		}
	}
	if os.Getenv("NINEFOLD_LONG") == "" {
		return
	}
	sessionctl := func(args ...string) string {
		t.Helper()
		ctx, cancel := context.WithTimeoutCause(t.Context(), 20*time.Minute, errors.New("not done within 20 minutes"))
		defer cancel()
		c := exec.CommandContext(ctx, "../../bin/sessionctl", append([]string{"--state", filepath.Join(dir, "state"), "--config", filepath.Join(dir, "config")}, args...)...)
		c.Stderr = os.Stderr
		out, err := c.Output()
		if err != nil {
			t.Fatalf("sessionctl %s: %v\n%s", strings.Join(args, " "), errors.Join(err, context.Cause(ctx)), out)
		}
		return string(out)
	}
	for _, e := range examples {
		sessionctl("image", "build", "--check", e.name)
		if got := sessionctl(append([]string{"run", e.name, "--"}, e.argv...)...); got != e.want {
			t.Errorf("%s in the image says %q, want %q", e.argv[0], got, e.want)
		}
	}
}
