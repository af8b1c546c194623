// Package script runs the real programs under testscript: what a person types,
// sees and gets back.
package script

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"ninefold/roots/registry/testregistry"
	"ninefold/tests/needs"
)

// programs builds the programs into a directory of their own, as they lie in
// bin/, and returns it.
func programs(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "ninefold-script-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	// Sessions of users other than root start from here.
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	// A process that go test knows nothing of builds them: looking at what they
	// are made of keeps it from showing the result of older ones.
	for _, part := range []string{"cmd", "internal", "namespaces", "roots", "sessiond"} {
		err := filepath.WalkDir(filepath.Join("../..", part), func(_ string, _ os.DirEntry, err error) error { return err })
		if err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command("go", "build", "-trimpath", "-o", dir+"/", "ninefold/cmd/...")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build the programs: %v\n%s", err, out)
	}
	for _, name := range []string{"ninefold-init", "ninefold-probe"} {
		made := filepath.Join("../../bin", name)
		if _, err := os.Stat(made); err != nil {
			if out, err := exec.Command("make", "-C", "../..", "bin/"+name).CombinedOutput(); err != nil {
				t.Fatalf("build %s: %v\n%s", name, err, out)
			}
		}
		b, err := os.ReadFile(made)
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), b, 0o755)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestScripts(t *testing.T) {
	bin := programs(t)
	vars := archives(t)
	shipped, err := filepath.Abs("../../packaging/host.policy")
	if err != nil {
		t.Fatal(err)
	}
	vars["POLICY"] = shipped
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(e *testscript.Env) error {
			e.Setenv("PATH", bin+":"+os.Getenv("PATH"))
			e.Setenv("HOME", e.WorkDir)
			e.Setenv("BIN", bin)
			e.Setenv("NINEFOLD_PROFILE", "")
			for name, value := range vars {
				e.Setenv(name, value)
			}
			return nil
		},
		Condition: condition,
		Cmds:      map[string]func(*testscript.TestScript, bool, []string){"status": status, "tarball": tarball, "registry": registry},
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

// registry starts a registry, whose host and port are in $REGISTRY until the script ends:
//
//	registry
func registry(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) > 0 {
		ts.Fatalf("usage: registry")
	}
	dir := ts.MkAbs("registry")
	ts.Check(os.Mkdir(dir, 0o700))
	s, err := testregistry.Start(context.Background(), dir, testregistry.Options{})
	ts.Check(err)
	ts.Defer(func() { s.Close() })
	ts.Setenv("REGISTRY", s.Host)
}

// condition tells root, which some scripts need, the registry, and containers: the programs that push, load and run
// them. Where everything must run, one that does not hold is an error.
func condition(name string) (bool, error) {
	var missing error
	switch name {
	case "root":
		if os.Geteuid() != 0 {
			missing = errors.New("this script has to run as root")
		}
	case "containers":
		for _, program := range []string{"podman", "runc", testregistry.Program} {
			_, err := exec.LookPath(program)
			missing = errors.Join(missing, err)
		}
	case "registry":
		_, missing = exec.LookPath(testregistry.Program)
	default:
		return false, fmt.Errorf("unknown condition %q", name)
	}
	if missing != nil && needs.All() {
		return false, fmt.Errorf("%w, and must run", missing)
	}
	return missing == nil, nil
}
