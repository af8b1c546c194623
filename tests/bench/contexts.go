package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// changedFiles is how many files a context holds whose diff is measured.
const changedFiles = 2000

// contexts measures entering a host context beside a session of a profile and
// schroot with an overlay, and what diff takes. All have the machine's own root
// below, and a layer on a disk but for the profile, whose layer is in memory.
func (b *bench) contexts(ctx context.Context) (err error) {
	b.table.section("contexts")
	state := filepath.Join(b.dir, "contexts-state")
	config := filepath.Join(b.dir, "contexts-config")
	if err := errors.Join(os.Mkdir(state, 0o755), os.Mkdir(config, 0o755)); err != nil {
		return err
	}
	sessionctl := func(args ...string) []string {
		return append([]string{filepath.Join(b.bin, "sessionctl"), "--config", config, "--state", state}, args...)
	}
	hc := func(args ...string) []string { return sessionctl(append([]string{"context"}, args...)...) }
	enter := hc("enter", "first", "--", "/bin/true")
	for _, argv := range [][]string{hc("new", "first"), enter, hc("new", "open"), hc("new", "changed"), sessionctl("run", "host", "--", "/bin/true")} {
		if _, err := timed(ctx, argv...); err != nil {
			b.table.note("contexts are not measured: %v", err)
			return nil
		}
	}
	leave, err := hold(ctx, hc("enter", "open", "--", "sh", "-c", "echo in; read -r line"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, leave()) }()
	files := fmt.Sprintf("mkdir /srv/changed && cd /srv/changed && for i in $(seq %d); do echo $i >$i; done", changedFiles)
	if _, err := timed(ctx, hc("enter", "changed", "--", "sh", "-c", files)...); err != nil {
		return err
	}
	const first, join, profile, other, diff = "enter", "join", "run", "schroot", "diff"
	contenders := []contender{
		process(first, enter...), process(join, hc("enter", "open", "--", "/bin/true")...),
		process(profile, sessionctl("run", "host", "--", "/bin/true")...),
		process(diff, hc("diff", "--json", "changed")...),
	}
	if schroot, err := b.schroot(); err != nil {
		b.table.note("schroot: %v", err)
	} else {
		contenders = append(contenders, schroot.process(other, nil, found("schroot"), "-c", "ninefold-bench", "-d", "/", "--", "/bin/true"))
	}
	results, failed := interleave(ctx, b.rounds/2, contenders)
	for name, err := range failed {
		b.table.note("%s among the contexts: %v", name, err)
	}
	b.compare(results, "enter a context that nobody is in : run host", first, profile, 1.2)
	b.compare(results, "enter one that somebody is in : run host", join, profile, 1.2)
	b.compare(results, "enter a context that nobody is in : schroot with an overlay", first, other, 0.2)
	if r, ok := results[diff]; ok {
		b.table.add(row{what: fmt.Sprintf("diff of %d changed files", changedFiles), value: fmt.Sprintf("%.1f ms", ms(r.median)),
			target: "<= 300 ms", met: r.median <= 300*time.Millisecond})
	}
	return nil
}

// compare adds a row with two of the results, if both are there.
func (b *bench) compare(results map[string]result, what, ours, others string, most float64) {
	o, ok := results[ours]
	p, ok2 := results[others]
	if !ok || !ok2 {
		return
	}
	q := ratio(o.median, p.median)
	b.table.add(row{what: what, value: fmt.Sprintf("%.1f : %.1f ms", ms(o.median), ms(p.median)), ratio: fmt.Sprintf("%.2f", q),
		target: fmt.Sprintf("<= %.1f", most), met: q <= most})
}

// hold starts a command that says when it is there and ends with its input.
func hold(ctx context.Context, argv []string) (leave func() error, err error) {
	c := exec.CommandContext(ctx, argv[0], argv[1:]...)
	in, err := c.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := c.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := c.Start(); err != nil {
		return nil, err
	}
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		return nil, errors.Join(fmt.Errorf("%s does not begin: %w", argv[0], err), in.Close(), c.Wait())
	}
	return func() error {
		// read ends with 1 at the end of its input.
		_ = in.Close()
		_ = c.Wait()
		return nil
	}, nil
}

const schrootConfig = `[ninefold-bench]
type=directory
directory=/
union-type=overlay
profile=minimal
users=root
`

// schroot is a room in which schroot knows the machine's root under an overlay.
func (b *bench) schroot() (*room, error) {
	dir := filepath.Join(b.dir, "schroot.d")
	if err := os.Mkdir(dir, 0o755); err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(dir, "ninefold-bench"), []byte(schrootConfig), 0o644); err != nil {
		return nil, err
	}
	return newRoom(func() error {
		const at = "/etc/schroot/chroot.d"
		if err := unix.Mount(dir, at, "", unix.MS_BIND, ""); err != nil {
			return &os.PathError{Op: "mount", Path: at, Err: err}
		}
		return nil
	})
}
