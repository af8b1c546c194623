package vm

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"ninefold/tests/needs"
)

// release is a Debian release whose kernel is tested on.
type release struct {
	suite  string
	kernel string // what uname -r begins with
}

var releases = []release{{"bookworm", "6.1."}, {"trixie", "6.12."}}

// tested are the packages whose tests depend on what the kernel can.
var tested = []string{"namespaces", "roots/driver", "roots/store", "roots/contexts", "sessiond/door", "tests/attack"}

// only are the tests of a package that are run, where not all are: those attacks
// that run into limits, for which many a container has no controllers, and those of
// guests; contexts whose file systems grow, which many a container may not have them
// do; and who is at the other end of the door, which Linux 6.1 says less of.
var only = map[string]string{
	"tests/attack":   "^TestTries$/fork_without_end|TestRunsAway|TestGuest|TestAWeakGuest",
	"roots/contexts": "Resize|Grow",
	"sessiond/door":  "TestTheCallerIsTheKernels|TestAProcessThatStartedLaterIsNotTheCaller|TestALimitOfOneUserIsNobodyElses|TestSoak",
}

// TestStockKernels runs the tests of the packages that make mounts and
// namespaces on each stock kernel, as root, with no test skipped.
func TestStockKernels(t *testing.T) {
	need(t, "qemu-system-x86_64", "mmdebstrap", "mkfs.ext4")
	patience := 25 * time.Minute
	if os.Getenv("NINEFOLD_LONG") != "" {
		only["tests/attack"] += "|TestAttacksOnAGuest"
		patience = 50 * time.Minute
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	top, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{"bin": filepath.Join(top, "bin")}
	var script strings.Builder
	script.WriteString("#!/bin/sh\nexec >/dev/ttyS0 2>&1\necho kernel $(uname -r)\nexport NINEFOLD_MUST_RUN=1 TMPDIR=/var/tmp\n")
	binaries := t.TempDir()
	if os.Getenv("NINEFOLD_LONG") != "" {
		only["tests/attack"] += "|TestAttacksOnAGuest|KeptHome"
	}
	for _, pkg := range tested {
		binary := filepath.Join(binaries, strings.ReplaceAll(pkg, "/", "-"))
		build := exec.CommandContext(ctx, "go", "test", "-c", "-o", binary, "ninefold/"+pkg)
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			t.Fatalf("build the tests of %s: %v\n%s", pkg, err, out)
		}
		files[pkg+"/test"] = binary
		fmt.Fprintf(&script, "cd /mnt/%s && ./test -test.short -test.v -test.run '%s'; echo result %s $?\n", pkg, only[pkg], pkg)
	}
	for _, r := range releases {
		t.Run(r.suite, func(t *testing.T) {
			disk, err := Stock(ctx, r.suite)
			if err != nil {
				t.Fatal(err)
			}
			dir := t.TempDir()
			payload, err := Payload(ctx, dir, files, script.String())
			if err != nil {
				t.Fatal(err)
			}
			console, err := Boot(ctx, disk, payload, dir, RunPayload...)
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(console, "kernel "+r.kernel) {
				t.Fatalf("it did not boot Linux %s\n%s", r.kernel, tail(console))
			}
			if strings.Contains(console, "for want of cgroup controllers") {
				t.Errorf("limits could not be tried:\n%s", failures(console))
			}
			t.Log(attacks.FindString(console))
			for _, pkg := range tested {
				if !strings.Contains(console, "result "+pkg+" 0") {
					t.Errorf("%s fails on %s:\n%s", pkg, r.suite, failures(saidBy(console, pkg)))
				}
			}
		})
	}
}

// attacks is what the list of attacks on guests says in the end.
var attacks = regexp.MustCompile(`[0-9]+ attacks, .*`)

// saidBy returns what the tests of a package wrote to the console, or all of it when they
// did not come to an end.
func saidBy(console, pkg string) string {
	said, _, ended := strings.Cut(console, "result "+pkg+" ")
	if !ended {
		return console
	}
	return said[strings.LastIndex(said, "\nresult ")+1:]
}

// failures keeps the lines of a verbose test run that tell of a failure.
func failures(console string) string {
	var kept []string
	for line := range strings.Lines(console) {
		if !strings.HasPrefix(line, "=== RUN") && !strings.HasPrefix(strings.TrimSpace(line), "--- PASS") {
			kept = append(kept, line)
		}
	}
	return tail(strings.Join(kept, ""))
}

func need(t *testing.T, programs ...string) {
	t.Helper()
	if runtime.GOARCH != "amd64" {
		needs.Elsewhere(t, "the virtual machine is amd64, this is "+runtime.GOARCH)
	}
	needs.Root(t)
	needs.Programs(t, programs...)
}
