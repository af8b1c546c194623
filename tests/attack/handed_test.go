package attack

import (
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// secretName is that of what the keeper has, a variable and a key.
const secretName = "NINEFOLD_ATTACK_SECRET"

// handed are what a session gets of its keeper's by who forgets to take it away.
var handed = []struct {
	name string
	do   func([]victim) error
}{
	{"use a descriptor that the keeper has open", func([]victim) error { return onlyStandardDescriptors(nil) }},
	{"find a key of the keeper's login", func([]victim) error { return findKey([]string{secretName}) }},
	{"make files with the keeper's umask", func([]victim) error { return strictUmask(nil) }},
	{"read the keeper's environment", func([]victim) error {
		if os.Getenv(secretName) != "" {
			return broke("the variable is there")
		}
		return nil
	}},
	{"go up from the keeper's directory", func([]victim) error { return readable("../closed/file") }},
	{"have a mount of one's own appear on the machine", func([]victim) error { return foundMount("", "shared:") }},
	{"type into the keeper's terminal", func([]victim) error { return typeIntoTerminals(nil) }},
}

// byCarelessKeeper runs a command as a child of somebody who has all of that, and
// returns what it wrote to its output. It has to be called on a locked thread.
func byCarelessKeeper(t *testing.T, cmd *exec.Cmd) string {
	t.Helper()
	if _, err := unix.KeyctlJoinSessionKeyring(secretName); err != nil {
		t.Fatal(err)
	}
	if _, err := unix.AddKey("user", secretName, []byte("secret"), unix.KEY_SPEC_SESSION_KEYRING); err != nil {
		t.Fatal(err)
	}
	cmd.Dir = filepath.Join(dir, "work")
	closed := filepath.Join(dir, "closed")
	for _, d := range []string{cmd.Dir, closed} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := unix.Mount("shared", closed, "tmpfs", 0, ""); err != nil {
		t.Fatal(err)
	}
	defer unix.Unmount(closed, unix.MNT_DETACH)
	if err := unix.Mount("", closed, "", unix.MS_SHARED, ""); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(closed+"/file", []byte("secret"), 0o644); err != nil {
		t.Fatal(err)
	}
	secret, err := os.Open(closed + "/file")
	if err != nil {
		t.Fatal(err)
	}
	defer secret.Close()
	terminal, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer terminal.Close()
	if err := unix.IoctlSetPointerInt(int(terminal.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	peer, _, e := unix.Syscall(unix.SYS_IOCTL, terminal.Fd(), unix.TIOCGPTPEER, unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC)
	if e != 0 {
		t.Fatal(e)
	}
	side := os.NewFile(peer, "the terminal")
	defer side.Close()
	cmd.Env = append(cmd.Env, secretName+"=x")
	cmd.ExtraFiles = []*os.File{secret}
	cmd.Stderr = side
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true, Ctty: 2}
	defer unix.Umask(unix.Umask(0))
	out, err := cmd.Output()
	if err != nil {
		said := make([]byte, 4096)
		_ = unix.SetNonblock(int(terminal.Fd()), true)
		n, _ := unix.Read(int(terminal.Fd()), said)
		t.Fatalf("%s: %v\n%s\n%s", cmd, err, out, said[:max(n, 0)])
	}
	return string(out)
}
