package namespaces_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"ninefold/namespaces"
	"ninefold/namespaces/plan"
)

// TestDotfilesAreMadeAsTheirUser: sources that are made, and places for them in
// the home, belong to the user, and no link of the user's leads to them.
func TestDotfilesAreMadeAsTheirUser(t *testing.T) {
	const uid = 12345
	home := filepath.Join(t.TempDir(), "home")
	for dir := home; dir != "/tmp" && dir != "/"; dir = filepath.Dir(dir) {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chown(home, uid, uid); err != nil {
		t.Fatal(err)
	}
	p := hostPlan(t, all, uid,
		plan.Bind{Source: home, Target: "/home/u", AsUser: true, Flags: weak},
		plan.Bind{Source: home + "/.local/ninefold/dev/config", Target: "/home/u/.config", AsUser: true, Make: true, Flags: weak})
	out, status := output(t, p, "sh", "-c", "echo one > /home/u/.config/x && cat /home/u/.config/x && ls -A /home/u")
	if status.Code != 0 || !strings.HasPrefix(out, "one\n") {
		t.Fatalf("%v %s", status, out)
	}
	if out, _ = output(t, p, "cat", "/home/u/.config/x"); out != "one\n" {
		t.Errorf("it did not stay: %s", out)
	}
	for name, mode := range map[string]os.FileMode{".local": 0o755, ".local/ninefold/dev": 0o755, ".local/ninefold/dev/config": 0o700, ".config": 0o755} {
		st, err := os.Stat(filepath.Join(home, name))
		if err != nil {
			t.Fatal(err)
		}
		if owner := st.Sys().(*syscall.Stat_t).Uid; owner != uid || st.Mode().Perm() != mode {
			t.Errorf("%s belongs to %d, with mode %o", name, owner, st.Mode().Perm())
		}
	}
	if e, err := os.ReadDir(filepath.Join(home, ".config")); err != nil || len(e) > 0 {
		t.Errorf("the shared home's own was written: %v %v", e, err)
	}
	// A link of the user's on the way.
	own := filepath.Join(home, ".local/ninefold/dev")
	if err := os.Rename(own+"/config", own+"/elsewhere"); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/etc", own+"/config"); err != nil {
		t.Fatal(err)
	}
	if err := os.Lchown(own+"/config", uid, uid); err != nil {
		t.Fatal(err)
	}
	if _, err := namespaces.Start(context.Background(), p, namespaces.Command{Argv: []string{"true"}}); err == nil || !strings.Contains(err.Error(), "operation not permitted") {
		t.Errorf("a user's link was followed: %v", err)
	}
}
