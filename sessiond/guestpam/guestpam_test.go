package guestpam

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ninefold/sessiond/pamstack"
	"ninefold/tests/needs"
)

// stacks are files as people and packages write them.
var stacks = []string{
	"", "\n", "# nothing", "# nothing\n\n",
	"#\n# login\n\nauth optional pam_faildelay.so\n@include common-auth\nsession required pam_limits.so\n@include common-session\n",
	"@include login", "@include login\n",
	"auth required pam_unix.so \\\n  nullok\n# the end\n\n",
	"# a comment \\\nauth required pam_deny.so\nauth required pam_unix.so",
}

func TestLinesComeAndGoExactly(t *testing.T) {
	for _, text := range stacks {
		with := With([]byte(text), "login", "visitor")
		if got := Without(with); string(got) != text {
			t.Errorf("%q became %q", text, got)
		}
		if again := With(with, "login", "visitor"); !bytes.Equal(with, again) {
			t.Errorf("twice is not once: %q", again)
		}
		root := t.TempDir()
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(root, dir, "login"), with, 0o644); err != nil {
			t.Fatal(err)
		}
		for _, kind := range []string{"auth", "account", "session"} {
			stack := pamstack.Read(root, "login", kind)
			at := 0
			if kind == "session" {
				at = len(stack) - 1
			}
			if len(stack) == 0 || !stack[at].Is("pam_ninefold.so", "guest") || !stack[at].Is("pam_ninefold.so", "service=login") || stack[at].Control != control {
				t.Errorf("%s of %q is %v", kind, with, stack)
			}
		}
	}
}

func TestServicesOfAMachine(t *testing.T) {
	needs.Root(t)
	root := t.TempDir()
	if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(root, dir, "greetd")
	if err := os.WriteFile(name, []byte("@include login\n"), 0o640); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("greetd", filepath.Join(root, dir, "lightdm")); err != nil {
		t.Fatal(err)
	}
	if err := Enable(root, "login", ""); !errors.Is(err, ErrNoService) {
		t.Errorf("a service that there is not: %v", err)
	}
	if err := Enable(root, "lightdm", ""); !errors.Is(err, ErrFile) {
		t.Errorf("a link: %v", err)
	}
	for range 2 {
		if err := Enable(root, "greetd", ""); err != nil {
			t.Fatal(err)
		}
	}
	if has, profile, err := Enabled(root, "greetd"); !has || profile != "" || err != nil {
		t.Errorf("it is not there: %v", err)
	}
	if st, err := os.Stat(name); err != nil || st.Mode() != 0o640 {
		t.Errorf("the mode has changed: %v, %v", st.Mode(), err)
	}
	for _, service := range []string{"greetd", "greetd", "login"} {
		if err := Disable(root, service); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(name)
	if has, _, herr := Enabled(root, "greetd"); has || herr != nil || err != nil || string(text) != "@include login\n" {
		t.Errorf("it is still there: %q, %v", text, errors.Join(err, herr))
	}
	files, err := os.ReadDir(filepath.Dir(name))
	if err != nil || len(files) != 2 {
		t.Errorf("something is left: %v, %v", files, err)
	}
}

func FuzzWithout(f *testing.F) {
	for _, text := range stacks {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if strings.Contains(text, "pam_ninefold.so guest") {
			return // lines like ours go
		}
		if got := Without(With([]byte(text), "lightdm", "")); string(got) != text {
			t.Errorf("%q became %q", text, got)
		}
	})
}
