// Package packaging installs the packages that `make deb` and `make rpm` make
// into root file systems of Debian 12 and 13, and takes them out again.
package packaging

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"ninefold/tests/needs"
)

const insideVar = "NINEFOLD_TEST_PACKAGING"

const top = "../.."

// TestMain moves the tests into a mount namespace of their own, where a
// scratch root can be mounted and is gone with the process.
func TestMain(m *testing.M) {
	if os.Geteuid() != 0 {
		os.Exit(m.Run())
	}
	if os.Getenv(insideVar) != "" {
		os.Exit(inside(m))
	}
	// The signal of a parent's death is that of its thread.
	runtime.LockOSThread()
	c := exec.Command("/proc/self/exe", os.Args[1:]...)
	c.Env = append(os.Environ(), insideVar+"=1")
	c.Stdin, c.Stdout, c.Stderr = os.Stdin, os.Stdout, os.Stderr
	c.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	if err := c.Run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// scratchDir is for all tests.
var scratchDir string

func inside(m *testing.M) int {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		fmt.Fprintln(os.Stderr, "make the mounts private:", err)
		return 1
	}
	var err error
	if scratchDir, err = os.MkdirTemp("", "ninefold-packaging-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(scratchDir)
	return m.Run()
}

// need ends the test where nothing can be packaged or installed.
func need(t *testing.T, programs ...string) {
	t.Helper()
	needs.Root(t)
	needs.Programs(t, append(programs, "setcap", "dpkg-deb")...)
	if _, err := os.Stat(filepath.Join(top, "packaging/tools.mod")); err != nil {
		t.Fatal(err)
	}
}

// build makes a package of what `make build` left in bin/, in a directory of
// the test, and returns its file name.
func build(t *testing.T, format string) string {
	t.Helper()
	name, err := pack(t.TempDir(), format)
	if err != nil {
		t.Fatal(err)
	}
	return name
}

// theDeb is build for the .deb, made once for all tests; newerDeb is an upgrade of it.
func theDeb(t *testing.T) string   { return once(t, deb) }
func newerDeb(t *testing.T) string { return once(t, newer) }

func once(t *testing.T, f func() (string, error)) string {
	t.Helper()
	name, err := f()
	if err != nil {
		t.Fatal(err)
	}
	return name
}

var (
	deb   = sync.OnceValues(func() (string, error) { return pack(filepath.Join(scratchDir, "dist"), "deb") })
	newer = sync.OnceValues(func() (string, error) {
		return pack(filepath.Join(scratchDir, "newer"), "deb", "VERSION=0.0.2")
	})
)

func pack(dist, format string, env ...string) (string, error) {
	c := exec.Command("scripts/package", format)
	c.Dir = top
	// Not the commit's version and time: another commit may come meanwhile.
	c.Env = append(os.Environ(), append([]string{"DIST=" + dist, "VERSION=0.0.1", "SOURCE_DATE_EPOCH=1700000000"}, env...)...)
	if out, err := c.CombinedOutput(); err != nil {
		return "", fmt.Errorf("scripts/package %s: %w\n%s", format, err, out)
	}
	found, err := filepath.Glob(filepath.Join(dist, "*."+format))
	if err != nil || len(found) != 1 {
		return "", fmt.Errorf("scripts/package %s left %q, %v; want one file", format, found, err)
	}
	return found[0], nil
}
