package attack

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// stick mounts a tmpfs as a desktop mounts a stick, with a program of the
// attacker's on it that belongs to root and is setuid.
func stick(t *testing.T) string {
	t.Helper()
	at := filepath.Join(dir, "stick")
	if err := os.MkdirAll(at, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("stick", at, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=0755"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Unmount(at, unix.MNT_DETACH) })
	b, err := os.ReadFile(bin + "/attacker")
	if err == nil {
		err = os.WriteFile(at+"/setuid", b, 0o755)
	}
	if err == nil {
		err = unix.Chmod(at+"/setuid", 0o4755)
	}
	if err != nil {
		t.Fatal(err)
	}
	return at + "/setuid"
}

// A setuid program on a stick that the host mounts nosuid stays without effect
// in a trusted session on the host's root.
func TestSetuidOnAStick(t *testing.T) {
	attack(t, attacker, "plain", "run", stick(t))
}

// Nor does it work by way of a union, which is a mount of its own.
func TestSetuidOnAStickInAUnion(t *testing.T) {
	name := stick(t)
	p := profile{"union", fmt.Sprintf("namespace = \"bind -a %s /mnt\"\n", filepath.Dir(name)), 0}
	if err := p.write(); err != nil {
		t.Fatal(err)
	}
	attack(t, attacker, "union", "run", "/mnt/"+filepath.Base(name))
}

// A setuid program that is honoured on the host's root is not in an untrusted session.
func TestSetuidOnTheHost(t *testing.T) {
	name := bin + "/setuid"
	b, err := os.ReadFile(bin + "/attacker")
	if err == nil {
		err = os.WriteFile(name, b, 0o755)
	}
	if err == nil {
		err = unix.Chmod(name, 0o4755)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer os.Remove(name)
	attack(t, attacker, "theirs", "run", name)
	attack(t, attacker, "theirs-on-the-host", "run", name)
}

// The keys of the caller's login are not the session's: not even the uid is
// asked of whom possesses the keyring.
func TestKeysOfTheCallersLogin(t *testing.T) {
	const name = "ninefold-attack"
	done := make(chan error, 1)
	go func() {
		// A keyring of a thread of its own, which is thrown away.
		done <- onThread(func() error {
			if _, err := unix.KeyctlJoinSessionKeyring(name); err != nil {
				return err
			}
			if _, err := unix.AddKey("user", name, []byte("secret"), unix.KEY_SPEC_SESSION_KEYRING); err != nil {
				return err
			}
			for _, profile := range []string{"plain", "pid", "theirs"} {
				attack(t, attacker, profile, "key", name)
			}
			return nil
		})
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// A command whose input is not the terminal has the caller's terminal as its
// output, and must not type into it: root's shell would read that.
func TestTypingIntoTheCallersTerminal(t *testing.T) {
	for _, profile := range []string{"plain", "pid", "theirs"} {
		line := strings.Join([]string{bin + "/sessionctl", "--config", dir + "/config", "--state", dir + "/state",
			"run", "--user", attacker, profile, "--", bin + "/attacker", "try", "terminal", "</dev/null"}, " ")
		out, err := exec.Command("script", "--quiet", "--return", "--command", line, "/dev/null").CombinedOutput()
		if err != nil || !bytes.Contains(out, []byte(held)) {
			t.Errorf("%s: %v\n%s", profile, err, out)
		}
	}
}

// A device of a user's profile that is a link in /dev/shm shows nothing of the host.
func TestDeviceThatIsALink(t *testing.T) {
	secret := filepath.Join(dir, "closed", "open")
	if err := os.MkdirAll(secret, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(secret+"/file", []byte("secret"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Dir(secret), 0o700); err != nil {
		t.Fatal(err)
	}
	const link = "/dev/shm/way-out"
	if err := os.Symlink(secret, link); err != nil {
		t.Fatal(err)
	}
	defer os.Remove(link)
	if err := os.Lchown(link, attackerUID, attackerUID); err != nil {
		t.Fatal(err)
	}
	out, _ := run(attacker, "devices", "cat", link+"/file")
	if strings.Contains(out, "secret") {
		t.Error("a link in /dev/shm showed a directory that only root can enter")
	}
}

// Root does not stand on a store, or obey a configuration, that a user can change.
func TestThingsThatAUserPrepared(t *testing.T) {
	theirs := filepath.Join(home, "prepared")
	for _, d := range []string{theirs + "/state", theirs + "/config/profiles"} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	text := "version = 1\nname = \"mine\"\nsummary = \"a user's\"\nbase = \"host\"\n"
	if err := os.WriteFile(theirs+"/config/profiles/mine.toml", []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := filepath.Walk(theirs, func(p string, _ os.FileInfo, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(p, attackerUID, attackerUID)
	}); err != nil {
		t.Fatal(err)
	}
	through := filepath.Join(dir, "link") // root's own link to it
	if err := os.Symlink(theirs, through); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		what string
		args []string
		says string
	}{
		{"a kept layer in a user's directory", []string{"--config", dir + "/config", "--state", theirs + "/state", "run", "--keep", "--user", "root", "plain", "--", "true"}, "can change it"},
		{"the same through root's link", []string{"--config", dir + "/config", "--state", through + "/state", "run", "--keep", "--user", "root", "plain", "--", "true"}, "can change it"},
		{"a user's profile for root", []string{"--config", theirs + "/config", "--state", dir + "/state", "run", "--user", "root", "mine", "--", "true"}, "root does not enter"},
		{"the same through root's link", []string{"--config", through + "/config", "--state", dir + "/state", "run", "--user", "root", "mine", "--", "true"}, "root does not enter"},
	} {
		out, err := exec.Command(bin+"/sessionctl", c.args...).CombinedOutput()
		if err == nil || !strings.Contains(string(out), c.says) {
			t.Errorf("%s: %v\n%s", c.what, err, out)
		}
	}
}

// An untrusted session that sees the host's processes cannot follow one of its
// own user's to the host's root, nor trace it.
func TestOwnProcessesOutside(t *testing.T) {
	outside := exec.Command("sleep", "1000")
	outside.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: attackerUID, Gid: attackerUID}}
	if err := outside.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = outside.Process.Kill()
		_ = outside.Wait()
	}()
	pid := fmt.Sprintf("/proc/%d/", outside.Process.Pid)
	attack(t, attacker, "theirs-on-the-host", "look", pid+"root/.", pid+"cwd/.", pid+"mem", pid+"fd/0", pid+"environ")
}

// A directory as a stream would be a way from it to the host's root.
func TestDirectoryAsInput(t *testing.T) {
	etc, err := os.Open("/etc")
	if err != nil {
		t.Fatal(err)
	}
	defer etc.Close()
	cmd := sessionctl("run", "plain", "--", "sh", "-c", "cat /proc/self/fd/0/../../proc/1/cmdline; echo got in")
	cmd.Stdin = etc
	if out, err := cmd.CombinedOutput(); err == nil || !strings.Contains(string(out), "is a directory") {
		t.Errorf("%v\n%s", err, out)
	}
}

// What is mounted in a session is not on the host, and a session that ended has
// left nothing.
func TestNothingOnTheHost(t *testing.T) {
	before, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{"plain", "pid", "apart", "theirs", "limited"} {
		if out, err := run(attacker, p, "sh", "-c", "unshare -Urm sh -c 'mount -t tmpfs none /mnt; mount --make-rshared /mnt; mount -t tmpfs none /mnt' 2>/dev/null; (sleep 1000 &) ; (setsid sleep 1000 &); true"); err != nil && !withoutLimits(p, out) {
			t.Errorf("%s: %v\n%s", p, err, out)
		}
	}
	after, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(before, after) {
		t.Errorf("the host's mounts changed:\n%s\n%s", before, after)
	}
	if left := ofTheAttacker(t); len(left) > 0 {
		t.Errorf("processes outlive their sessions: %v", left)
	}
}
