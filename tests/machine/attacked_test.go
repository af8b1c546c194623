package machine

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// attacks is held by the machine on which attacks are tried: the machines have one
// kernel, which counts the processes of a uid on all of them.
var attacks sync.Mutex

// attacked has the list of attacks on guests (tests/attack) tried with the programs that the
// package installed, on this machine's system.
func (b *Booted) attacked(t *testing.T) {
	attacks.Lock()
	defer attacks.Unlock()
	binary := filepath.Join(t.TempDir(), "test")
	build := exec.CommandContext(b.ctx, "../../scripts/go", "test", "-c", "-o", binary, "ninefold/tests/attack")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the attacks: %v\n%s", err, out)
	}
	const at = "/opt/attack"
	if err := b.CopyIn(b.ctx, binary, at+"/tests/attack/test", 0o755); err != nil {
		t.Fatal(err)
	}
	defer b.Must("rm", "-r", at)
	b.Must("sh", "-c", "mkdir "+at+"/bin && cp /usr/bin/sessionctl /usr/lib/ninefold/ninefold-* "+at+"/bin")
	r := b.Run("env", "NINEFOLD_MUST_RUN=1", "sh", "-c", "cd "+at+"/tests/attack && ./test -test.v -test.run 'TestAttacksOnAGuest|TestAWeakGuestIsRefused'")
	if !r.OK() || !strings.Contains(r.Stdout, "--- PASS: TestAttacksOnAGuest") {
		t.Errorf("%s", r)
	}
	t.Log(r.Stdout)
}
