// Package needs says what a test cannot do without.
package needs

import (
	"os"
	"os/exec"
	"testing"
)

// Root ends a test that is not root's.
func Root(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		Lacks(t, "it needs root")
	}
}

// Programs ends a test where one of the programs is not installed.
func Programs(t testing.TB, names ...string) {
	t.Helper()
	for _, name := range names {
		if _, err := exec.LookPath(name); err != nil {
			Lacks(t, err.Error())
		}
	}
}

// All reports whether every test must run: NINEFOLD_MUST_RUN=1, as in CI.
func All() bool { return os.Getenv("NINEFOLD_MUST_RUN") == "1" }

// Lacks ends a test for which this machine lacks something. It is skipped, or
// fails where All must run: a test that silently did not run proves nothing.
func Lacks(t testing.TB, what string) {
	t.Helper()
	if All() {
		t.Fatalf("this test must run: %s", what)
	}
	t.Skip(what)
}

// Elsewhere ends a test that is for other machines than this one, whatever is
// installed: another architecture, a kernel without what is tested.
func Elsewhere(t testing.TB, why string) {
	t.Helper()
	t.Skip(why)
}
