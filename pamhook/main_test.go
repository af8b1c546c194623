// Package pamhook tests the two C programs of the login path as they are used:
// the PAM module by su, login and pamtester, the wrapper by users. Everything
// happens in a mount namespace of the test's own, with accounts, PAM stacks and
// a /run/ninefold of its own. The daemon's side is a peer that says what a test
// wants said; tests/machine runs the same with the real one.
package pamhook

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const inside = "NINEFOLD_PAMHOOK_INSIDE"

// The accounts of the tests.
const (
	person    = "nf-person"
	personUID = 4901
	system    = "nf-system" // below UID_MIN
	systemUID = 499
)

// scratch is a tmpfs of the test's own, where file capabilities work.
const scratch = "/run/pamhook"

func TestMain(m *testing.M) {
	if path := os.Getenv("NINEFOLD_PAMHOOK_LISTEN"); path != "" {
		strange(path)
		os.Exit(1)
	}
	if os.Geteuid() != 0 {
		os.Exit(m.Run())
	}
	if os.Getenv(inside) == "" {
		self := exec.Command("/proc/self/exe", os.Args[1:]...)
		self.Env = append(os.Environ(), inside+"=1")
		self.Stdout, self.Stderr = os.Stdout, os.Stderr
		// The runtime makes every mount private along with it.
		self.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
		err := self.Run()
		if self.ProcessState == nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(self.ProcessState.ExitCode())
	}
	if err := furnish(); err != nil {
		fmt.Fprintln(os.Stderr, "make the test's own /etc and /run:", err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// furnish gives this mount namespace its own accounts, PAM stacks and /run.
func furnish() error {
	for _, at := range []string{"/run", "/etc/pam.d"} {
		if err := unix.Mount("pamhook", at, "tmpfs", 0, "mode=0755"); err != nil {
			return err
		}
	}
	for _, dir := range []string{"/run/ninefold", scratch, scratch + "/home"} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			return err
		}
	}
	if err := os.Chmod(scratch, 0o777); err != nil {
		return err
	}
	if err := os.Chown(scratch+"/home", personUID, personUID); err != nil {
		return err
	}
	more := map[string]string{
		"passwd": fmt.Sprintf("%s:x:%d:%d::%s/home:/bin/sh\n%s:x:%d:%d::/:/bin/sh\n", person, personUID, personUID, scratch, system, systemUID, systemUID) +
			fmt.Sprintf("%s:x:%d:%d::/:/bin/sh\n%s:x:%d:%d::/:/bin/sh\n", aliasName, personUID, personUID, aliasOther, systemUID, systemUID),
		"group":  fmt.Sprintf("%s:x:%d:\n%s:x:%d:\n", person, personUID, system, systemUID),
		"shadow": fmt.Sprintf("%s:!:20000::::::\n%s:!:20000::::::\n", person, system),
	}
	for name, lines := range more {
		old, err := os.ReadFile("/etc/" + name)
		if err != nil {
			return err
		}
		if err := replace("/etc/"+name, string(old)+lines); err != nil {
			return err
		}
	}
	return nil
}

// replace puts a file with text over path, in this namespace alone.
func replace(path, text string) error {
	mine := filepath.Join(scratch, filepath.Base(path))
	if err := os.WriteFile(mine, []byte(text), 0o644); err != nil {
		return err
	}
	return unix.Mount(mine, path, "", unix.MS_BIND, "")
}

// built returns the path of a program of this folder (make build).
func built(t testing.TB, name string) string {
	t.Helper()
	p, err := filepath.Abs("../bin/" + name)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(p); err != nil {
		t.Fatalf("%v (make build)", err)
	}
	return p
}

// tempDir is a directory on the scratch tmpfs that everybody may read.
func tempDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp(scratch, "t")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// result is how a program ended.
type result struct {
	code        int
	out, errors string
}

// finish runs cmd to its end, which comes within a minute.
func finish(t testing.TB, cmd *exec.Cmd) result {
	t.Helper()
	var out, errs strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errs
	cmd.Env = append([]string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "TERM=dumb"}, cmd.Env...) // nothing of the caller's
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	late := time.AfterFunc(time.Minute, func() { _ = cmd.Process.Kill() })
	defer late.Stop()
	err := cmd.Wait()
	if _, ended := err.(*exec.ExitError); err != nil && !ended {
		t.Fatal(err)
	}
	return result{cmd.ProcessState.ExitCode(), out.String(), errs.String()}
}

func contains(t testing.TB, what, text, want string) {
	t.Helper()
	if !strings.Contains(text, want) {
		t.Errorf("%s does not hold %q:\n%s", what, want, text)
	}
}

func lacks(t testing.TB, what, text, unwanted string) {
	t.Helper()
	if strings.Contains(text, unwanted) {
		t.Errorf("%s holds %q:\n%s", what, unwanted, text)
	}
}
