package machine

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ninefold/tests/vm"
)

// virtual are the tests that run on Debian's own kernels, too.
const virtual = "^(TestMachine|TestLogins)$"

// TestStockKernels boots the same machines with their own kernels under qemu,
// and runs tests of this package inside.
func TestStockKernels(t *testing.T) {
	if os.Getenv(inside) != "" {
		return
	}
	able(t)
	ctx, cancel := context.WithTimeoutCause(t.Context(), 12*time.Minute, fmt.Errorf("not done within 12 minutes"))
	defer cancel()
	deb, err := Package(ctx, "../..")
	if err != nil {
		t.Fatal(err)
	}
	binary := filepath.Join(t.TempDir(), "test")
	build := exec.CommandContext(ctx, "go", "test", "-c", "-o", binary, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the tests: %v\n%s", err, out)
	}
	for _, suite := range Suites {
		t.Run(suite, func(t *testing.T) {
			disk, err := Disk(ctx, suite)
			if err != nil {
				t.Fatal(err)
			}
			dir := t.TempDir()
			script := fmt.Sprintf("#!/bin/sh\nexport NINEFOLD_MUST_RUN=1 %s=%s %s=/mnt/ninefold.deb\necho kernel $(uname -r)\n"+
				"systemctl is-system-running --wait\n/mnt/test -test.v -test.run '%s'; echo result $?\n", inside, suite, insideDeb, virtual)
			payload, err := vm.Payload(ctx, dir, map[string]string{"test": binary, "ninefold.deb": deb}, script)
			if err != nil {
				t.Fatal(err)
			}
			console, err := vm.Boot(ctx, disk, payload, dir)
			if err != nil || !strings.Contains(console, "result 0") || !strings.Contains(console, "--- PASS: TestLogins") {
				t.Fatalf("%v\n%s", err, console)
			}
		})
	}
}

// Disk returns the suite's machine as a disk of a virtual machine.
func Disk(ctx context.Context, suite string) (vm.Disk, error) {
	tree, err := Tree(ctx, suite)
	if err != nil {
		return vm.Disk{}, err
	}
	if d, ok := vm.Open(tree + ".vm"); ok {
		return d, nil
	}
	return vm.Make(ctx, tree, tree+".vm")
}
