package broker

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"ninefold/sessiond/broker/program"
	"ninefold/sessiond/broker/wire"
	"ninefold/sessiond/door"
	"ninefold/sessiond/policy"
)

// A yes to `make install` in one directory is none for that of another, nor for
// what has taken its name; a command that opens it again has it.
func TestARememberedAnswerIsForOneDirectory(t *testing.T) {
	who := &caller{peer: door.Peer{UID: 12345}, session: "4"}
	rule := &policy.Rule{}
	asked := func(name string, byDescriptor bool) [32]byte {
		t.Helper()
		c := &command{request: &wire.Request{Dir: name}, program: &program.Program{Path: "/usr/bin/make"}, argv: []string{"make", "install"},
			decision: policy.Decision{Verdict: policy.Ask, Rule: rule}, dir: name}
		if byDescriptor {
			f, err := os.Open(name)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { f.Close() })
			c.place, c.dir = f, "/proc/self/fd/"+filepath.Base(f.Name())
		}
		return question(who, c)
	}
	dir := t.TempDir()
	one, two := filepath.Join(dir, "one"), filepath.Join(dir, "two")
	for _, name := range []string{one, two} {
		if err := os.Mkdir(name, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	a, now := newAnswers(), time.Now()
	for _, byDescriptor := range []bool{false, true} {
		a.keep(asked(one, byDescriptor), now.Add(time.Minute), now)
		if !a.holds(asked(one, byDescriptor), now) {
			t.Errorf("by descriptor %t: not remembered for the same directory", byDescriptor)
		}
		if a.holds(asked(two, byDescriptor), now) {
			t.Errorf("by descriptor %t: remembered for another directory", byDescriptor)
		}
	}
	if err := os.Rename(one, filepath.Join(dir, "old")); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(two, one); err != nil {
		t.Fatal(err)
	}
	if a.holds(asked(one, true), now) {
		t.Error("remembered for a directory that has taken the name")
	}
}
