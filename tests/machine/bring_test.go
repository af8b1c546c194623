package machine

import (
	"os/exec"
	"path/filepath"
)

// bring builds the program whose source lies in dir and puts it into the machine, by
// the name of dir.
func (b *Booted) bring(dir string) {
	b.t.Helper()
	name := filepath.Base(dir)
	program := filepath.Join(b.t.TempDir(), name)
	c := exec.Command("../../scripts/go", "build", "-o", program, dir)
	c.Env = append(c.Environ(), "CGO_ENABLED=0")
	if out, err := c.CombinedOutput(); err != nil {
		b.t.Fatalf("build %s: %v: %s", dir, err, out)
	}
	b.check(b.CopyIn(b.ctx, program, "/usr/local/bin/"+name, 0o755))
}
