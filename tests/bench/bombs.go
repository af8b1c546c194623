package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"time"

	"ninefold/tests/vm"
)

// bombLine is what the test of bombs says of one: what su -l takes beside it and alone,
// in microseconds.
var bombLine = regexp.MustCompile(`bombs: (\w+) (\d+) (\d+) `)

// bombs measures how long somebody else waits for a shell while a guest takes what it can
// get, against the same without it, by turns, on Debian's own kernels in an emulated
// machine, where there are cgroup controllers: only the ratio means anything.
func (b *bench) bombs(ctx context.Context) error {
	dir, err := os.MkdirTemp(b.dir, "bombs-")
	if err != nil {
		return err
	}
	binary := filepath.Join(dir, "test")
	build := exec.CommandContext(ctx, "scripts/go", "test", "-c", "-o", binary, "./tests/attack")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build the bombs: %w: %s", err, out)
	}
	const script = "#!/bin/sh\nexec >/dev/ttyS0 2>&1\nexport NINEFOLD_MUST_RUN=1 NINEFOLD_ROUNDS=7 TMPDIR=/var/tmp\ncd /mnt/tests/attack && ./test -test.v -test.run '^TestGuestBombs$'; echo result $?\n"
	for _, suite := range []string{"bookworm", "trixie"} {
		disk, err := vm.Stock(ctx, suite)
		if err != nil {
			return err
		}
		work := filepath.Join(dir, suite)
		if err := os.Mkdir(work, 0o755); err != nil {
			return err
		}
		payload, err := vm.Payload(ctx, work, map[string]string{"bin": b.bin, "tests/attack/test": binary}, script)
		if err != nil {
			return err
		}
		bounded, cancel := context.WithTimeout(ctx, 20*time.Minute)
		console, err := vm.Boot(bounded, disk, payload, work, vm.RunPayload...)
		cancel()
		if err != nil {
			return err
		}
		b.table.section("su -l of somebody else beside a guest's bomb, " + suite + " with its own kernel")
		lines := bombLine.FindAllStringSubmatch(console, -1)
		if len(lines) == 0 {
			return fmt.Errorf("no bomb was thrown:\n%s", console)
		}
		for _, l := range lines {
			beside, _ := strconv.ParseFloat(l[2], 64)
			alone, _ := strconv.ParseFloat(l[3], 64)
			q := beside / alone
			b.table.add(row{what: l[1], value: fmt.Sprintf("%.0f : %.0f ms", beside/1000, alone/1000), ratio: fmt.Sprintf("%5.2f", q), target: "<= 2.0", met: q <= 2})
		}
	}
	return nil
}
