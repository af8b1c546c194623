package desktops

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// images builds the desktops' images in a state directory of the cache, and
// returns it. They are built anew only where a recipe has changed, so that
// all machines and runs share them. It is this process's alone until it ends:
// two machines at a time would both write to it.
func images(t testing.TB, of []desktop) (state string) {
	t.Helper()
	cache := os.Getenv("NINEFOLD_TEST_CACHE")
	if cache == "" {
		cache = "/var/cache/ninefold-tests"
	}
	state = filepath.Join(cache, "desktops")
	recipes := filepath.Join(state, "config/recipes")
	if err := os.MkdirAll(recipes, 0o700); err != nil {
		t.Fatal(err)
	}
	lock, err := os.Create(filepath.Join(cache, "desktops.lock"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { lock.Close() })
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(top(t) + "/recipes/*.toml")
	if err != nil {
		t.Fatal(err)
	}
	changed := false
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		to := filepath.Join(recipes, filepath.Base(f))
		if old, err := os.ReadFile(to); err == nil && string(old) == string(text) {
			continue
		}
		changed = true
		if err := os.WriteFile(to, text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	args := []string{"--state", state, "--config", filepath.Join(state, "config"), "image", "build"}
	if changed {
		args = append(args, "--relock")
	}
	for _, d := range of {
		args = append(args, d.of())
	}
	program := top(t) + "/bin/sessionctl"
	if _, err := os.Stat(program); err != nil {
		t.Fatal("the programs are not built: make build")
	}
	start := time.Now()
	out, err := exec.CommandContext(t.Context(), program, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out)
	}
	t.Logf("images, in %.1f s:\n%s", time.Since(start).Seconds(), table(string(out)))
	return state
}

// table is what sessionctl printed last: what became of the images.
func table(out string) string {
	if i := strings.LastIndex(out, "IMAGE "); i >= 0 {
		return strings.TrimSpace(out[i:])
	}
	return ""
}
