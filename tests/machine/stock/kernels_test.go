package stock

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ninefold/tests/machine"
	"ninefold/tests/vm"
)

// tested is the test of package machine that runs on the stock kernels.
const tested = "TestLogins"

// TestLoginsOnStockKernels boots each machine with its own kernel under qemu,
// and runs the login tests inside.
func TestLoginsOnStockKernels(t *testing.T) {
	machine.Able(t, "qemu-system-x86_64", "mkfs.ext4")
	const most = 12 * time.Minute
	ctx, cancel := context.WithTimeoutCause(t.Context(), most, fmt.Errorf("not done within %s", most))
	defer cancel()
	deb, err := machine.Package(ctx, "../../..")
	if err != nil {
		t.Fatal(err)
	}
	binary := filepath.Join(t.TempDir(), "test")
	build := exec.CommandContext(ctx, "go", "test", "-c", "-o", binary, "ninefold/tests/machine")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the tests: %v\n%s", err, out)
	}
	script := "#!/bin/sh\nexport NINEFOLD_MUST_RUN=1 " + machine.InsideDeb + "=/mnt/ninefold.deb\n" +
		". /etc/os-release\nexport " + machine.Inside + "=$VERSION_CODENAME\n" +
		"systemctl is-system-running --wait\n/mnt/test -test.v -test.run '^" + tested + "$'; echo result $?\n"
	for _, suite := range machine.Suites {
		t.Run(suite, func(t *testing.T) {
			disk, err := machine.DiskOf(ctx, suite)
			if err != nil {
				t.Fatal(err)
			}
			dir := t.TempDir()
			payload, err := vm.Payload(ctx, dir, map[string]string{"test": binary, "ninefold.deb": deb}, script)
			if err != nil {
				t.Fatal(err)
			}
			console, err := vm.Boot(ctx, disk, payload, dir)
			if err != nil || !strings.Contains(console, "result 0") || !strings.Contains(console, "--- PASS: "+tested) {
				t.Fatalf("%v\n%s", err, console)
			}
		})
	}
}
