// Package script runs the real programs under testscript: what a person types,
// sees and gets back.
package script

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

var bin string

func TestMain(m *testing.M) {
	code, err := build(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// build makes the programs in a directory of their own, as they lie in bin/.
func build(m *testing.M) (int, error) {
	dir, err := os.MkdirTemp("", "ninefold-script-")
	if err != nil {
		return 1, err
	}
	defer os.RemoveAll(dir)
	// Sessions of users other than root start from here.
	if err := os.Chmod(dir, 0o755); err != nil {
		return 1, err
	}
	cmd := exec.Command("go", "build", "-trimpath", "-o", dir+"/", "ninefold/cmd/...")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return 1, fmt.Errorf("build the programs: %w\n%s", err, out)
	}
	first := "../../bin/ninefold-init"
	if _, err := os.Stat(first); err != nil {
		if out, err := exec.Command("make", "-C", "../..", "bin/ninefold-init").CombinedOutput(); err != nil {
			return 1, fmt.Errorf("build the first process: %w\n%s", err, out)
		}
	}
	b, err := os.ReadFile(first)
	if err != nil {
		return 1, err
	}
	if err := os.WriteFile(filepath.Join(dir, "ninefold-init"), b, 0o755); err != nil {
		return 1, err
	}
	bin = dir
	return m.Run(), nil
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(e *testscript.Env) error {
			e.Setenv("PATH", bin+":"+os.Getenv("PATH"))
			e.Setenv("HOME", e.WorkDir)
			e.Setenv("NINEFOLD_PROFILE", "")
			return nil
		},
		Condition: func(cond string) (bool, error) {
			if cond != "root" {
				return false, fmt.Errorf("unknown condition %q", cond)
			}
			root := os.Geteuid() == 0
			if !root && os.Getenv("NINEFOLD_MUST_RUN") == "1" {
				return false, errors.New("this script has to run as root, and must run")
			}
			return root, nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"status": status},
	})
}

// status runs a command that must exit with the given code:
//
//	status CODE COMMAND ARG...
func status(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: status CODE COMMAND ARG...")
	}
	want, err := strconv.Atoi(args[0])
	if err != nil {
		ts.Fatalf("status: %v", err)
	}
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		var e *exec.ExitError
		if !errors.As(err, &e) {
			ts.Fatalf("status: %v", err)
		}
		got = e.ExitCode()
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}
