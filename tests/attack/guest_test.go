package attack

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

const (
	// guest stands for the user that exists for one session.
	guest = "guest"
	// guestBin is where a guest has the attacker's program.
	guestBin = "/usr/local/attack"
)

// guestProfile is the built-in one, with the attacker's program.
func guestProfile() profile {
	return profile{"visitor", fmt.Sprintf("namespace = \"bind -r %s %s\"\n[isolation]\nuser = \"dynamic\"\n[limits]\nnproc = 64\n", bin, guestBin), 0}
}

// TestGuestTries is what an attacker tries as a guest.
func TestGuestTries(t *testing.T) {
	for _, name := range []string{"descriptors", "umask", "old-root", "trace-init", "kill-init", "knobs", "devices", "terminal",
		"setuid-self", "nested", "vsock", "alg", "calls", "xattrs", "tasks", "runaway"} {
		t.Run(name, func(t *testing.T) { attack(t, guest, "visitor", name) })
	}
	secret := filepath.Join(home, "secret")
	if err := os.WriteFile(secret, []byte("the attacker's own"), 0o644); err != nil {
		t.Fatal(err)
	}
	attack(t, guest, "visitor", "look", secret, "/root/.bashrc", "/etc/shadow", "/proc/kcore", "/var/log/dpkg.log", dir+"/config/profiles/plain.toml")
	setuid := filepath.Join(bin, "guest-setuid")
	b, err := os.ReadFile(bin + "/attacker")
	if err == nil {
		err = os.WriteFile(setuid, b, 0o755)
	}
	if err == nil {
		err = os.Chmod(setuid, 0o755|os.ModeSetuid)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer os.Remove(setuid)
	attack(t, guest, "visitor", "run", guestBin+"/guest-setuid")
}

// TestAWeakGuestIsRefused: what an administrator adds to a guest's profile is
// tried, too, and nobody is let into a session in which something could be kept.
func TestAWeakGuestIsRefused(t *testing.T) {
	shared := filepath.Join(dir, "shared")
	if err := os.MkdirAll(shared, 0o777); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ lines, through string }{
		"weak-writable": {"bind " + shared + " /usr/local/shared", "keep something in /usr/local/shared"},
		"weak-homes":    {"bind -r " + filepath.Dir(home) + " /root", "look into /root"},
		"weak-socket":   {"bind -r /run /run/user/61000", "look into /run/user"},
	} {
		p := profile{name, fmt.Sprintf("namespace = %q\n[isolation]\nuser = \"dynamic\"\n", c.lines), 0}
		if err := p.write(); err != nil {
			t.Fatal(err)
		}
		out, err := run(guest, name, "echo", "let in")
		if err == nil || strings.Contains(out, "let in\n") || !strings.Contains(out, c.through) {
			t.Errorf("%s: %v: want a refusal that names %q:\n%s", name, err, c.through, out)
		}
	}
}

// eventually waits for what is about to be so.
func eventually(t *testing.T, what string, so func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !so(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("after half a minute it is not so that %s", what)
		}
	}
}

type listedGuest struct{ Name, State string }

// listed are the guests that sessionctl lists.
func listed(t *testing.T) (all []listedGuest) {
	t.Helper()
	out, err := sessionctl("guest", "list", "--json").Output()
	if err == nil {
		err = json.Unmarshal(out, &all)
	}
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return all
}

// TestGuestsLeaveNothing: what is found afterwards is what was there before, and a
// guest whose keeper was killed is found by the next sweep.
func TestGuestsLeaveNothing(t *testing.T) {
	if out, err := run(guest, "visitor", "sh", "-c", "(sleep 1000 &) ; setsid sleep 1000 & echo x > ~/f; echo x > /tmp/f; echo x > /var/tmp/f; ipcmk -M 4096 >/dev/null; exit 5"); err == nil || !strings.Contains(err.Error(), "5") {
		t.Fatalf("%v: %s", err, out)
	}
	killed := sessionctl("run", "visitor", "--", "sleep", "1000")
	if err := killed.Start(); err != nil {
		t.Fatal(err)
	}
	var all []listedGuest
	eventually(t, "the second guest is in", func() bool {
		all = listed(t)
		return slices.ContainsFunc(all, func(g listedGuest) bool {
			out, _ := sessionctl("guest", "report", g.Name, "--json").Output()
			return g.State == "live" && strings.Contains(string(out), "filter")
		})
	})
	if err := killed.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = killed.Wait()
	for _, g := range all {
		uid, err := strconv.Atoi(strings.TrimPrefix(g.Name, "guest-"))
		if err != nil {
			t.Fatal(err)
		}
		eventually(t, "processes of "+g.Name+" are gone", func() bool { return len(processesOf(t, uid)) == 0 })
		for _, kind := range []string{"shm", "sem", "msg"} {
			b, err := os.ReadFile("/proc/sysvipc/" + kind)
			if err == nil && slices.Contains(strings.Fields(string(b)), strconv.Itoa(uid)) {
				t.Errorf("%s left %s: %s", g.Name, kind, b)
			}
		}
	}
}
