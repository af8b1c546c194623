package store

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"ninefold/tests/needs"
)

const (
	inNamespace = "NINEFOLD_TEST_NAMESPACE"
	mounted     = "NINEFOLD_TEST_MOUNTED" // for the workers of a fuzz test
	crashDir    = "NINEFOLD_TEST_CRASH"
)

// TestMain runs the tests in a mount namespace of their own when it may, so
// that no mount of a test is ever seen by the machine, with a tmpfs for what
// they write: thousands of small files and syncfs.
func TestMain(m *testing.M) {
	if dir := os.Getenv(crashDir); dir != "" {
		crashHelper(dir)
		os.Exit(0)
	}
	dir := os.Getenv(inNamespace)
	if dir == "" && os.Geteuid() == 0 {
		os.Exit(inside())
	}
	if dir != "" && os.Getenv(mounted) == "" {
		err := errors.Join(unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""),
			unix.Mount("tmpfs", dir, "tmpfs", 0, "mode=0700"), os.Setenv("TMPDIR", dir), os.Setenv(mounted, "1"))
		if err != nil {
			fmt.Fprintln(os.Stderr, "mounts of the tests' own:", err)
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}

// inside runs this program again in a mount namespace and returns its exit
// status.
func inside() int {
	dir, err := os.MkdirTemp("", "ninefold-test-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.Remove(dir)
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), inNamespace+"="+dir)
	runtime.LockOSThread() // Pdeathsig follows the thread
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	err = cmd.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return max(exit.ExitCode(), 1)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "a mount namespace for the tests:", err)
		return 1
	}
	return 0
}

// needMounts skips a test that mounts; in CI a skip is a failure.
func needMounts(t *testing.T) {
	t.Helper()
	if os.Getenv(inNamespace) != "" {
		return
	}
	needs.Lacks(t, "mounts of its own need root")
}

func tmpfs(t *testing.T, options string) string {
	t.Helper()
	needMounts(t)
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, options); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}
