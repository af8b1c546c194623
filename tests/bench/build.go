package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// desktopRequest is the set d2 of the measurements that the targets come from:
// a whole desktop with a browser, on Debian 12, with what its packages
// recommend.
var desktopRequest = []string{"xfce4", "xfce4-goodies", "firefox-esr"}

const buildRecipe = `version = 1
name = "d2"
packages = [%s]
[source]
suite = "bookworm"
recommends = true
`

// build measures whole image builds over the network beside mmdebstrap.
func (b *bench) build(ctx context.Context) error {
	mirror, err := debianMirror(ctx)
	if err != nil {
		return err
	}
	theirs, err := b.mmdebstrap(ctx, mirror)
	if err != nil {
		return err
	}
	config, state := filepath.Join(b.dir, "config"), filepath.Join(b.dir, "state")
	if err := writeRecipe(config, desktopRequest); err != nil {
		return err
	}
	cold, err := b.imageBuild(ctx, config, state)
	if err != nil {
		return err
	}
	same, err := b.imageBuild(ctx, config, state)
	if err != nil {
		return err
	}
	b.table.section("image build: " + strings.Join(desktopRequest, ", ") + " on Debian 12 (cold, network, finishing steps included)")
	b.table.add(row{what: "mmdebstrap", value: seconds(theirs), ratio: "1.00"})
	q := ratio(cold, theirs)
	b.table.add(row{what: "ninefold, image build", value: seconds(cold), ratio: fmt.Sprintf("%.2f", q), target: "<= 1/3", met: q <= 1.0/3})
	b.table.add(row{what: "ninefold, again, nothing changed", value: seconds(same)})
	if err := b.signing(ctx, config, state, cold); err != nil {
		return err
	}
	if err := b.onePackage(ctx, config, state); err != nil {
		return err
	}
	return b.familyOfD2(ctx, config, state)
}

// signing measures what a build with --sign does besides: a signature over each
// package, each image and the name.
func (b *bench) signing(ctx context.Context, config, state string, cold time.Duration) error {
	ctl := []string{filepath.Join(b.bin, "sessionctl"), "--config", config, "--state", state}
	if _, err := timed(ctx, append(ctl, "key", "new", "bench")...); err != nil {
		return err
	}
	signed, err := timed(ctx, append(ctl, "image", "sign", "d2", "--key", "bench", "--packages")...)
	if err != nil {
		return err
	}
	q := ratio(signed, cold)
	b.table.add(row{what: "ninefold, signing each package, the image and its name : its cold build", value: fmt.Sprintf("%.2f : %.2f s", signed.Seconds(), cold.Seconds()),
		ratio: fmt.Sprintf("%.3f", q), target: "<= 0.1", met: q <= 0.1})
	return nil
}

// onePackage measures a build in which one package is new to a built image:
// as a whole, and from a lock with its .deb already here. The package brings a
// shared library and a program, so that finishing steps run again.
func (b *bench) onePackage(ctx context.Context, config, state string) error {
	// The state as it is now, for the second measurement. Everything in it is
	// replaced by renames, never written in place, so links are copies.
	snapshot := filepath.Join(b.dir, "snapshot")
	if _, err := timed(ctx, "cp", "-al", state, snapshot); err != nil {
		return err
	}
	if err := writeRecipe(config, append([]string{"jq"}, desktopRequest...)); err != nil {
		return err
	}
	whole, err := b.imageBuild(ctx, config, state)
	if err != nil {
		return err
	}
	if _, err := timed(ctx, "cp", "-aln", filepath.Join(state, "debs"), snapshot+"/"); err != nil {
		return err
	}
	locked, err := b.imageBuild(ctx, config, snapshot)
	if err != nil {
		return err
	}
	b.table.add(row{what: "ninefold, one package changed: from the lock to a mountable image", value: seconds(locked), target: "<= 1.5 s", met: locked <= 1500*time.Millisecond})
	b.table.add(row{what: "ninefold, one package changed: solved and fetched too", value: seconds(whole)})
	return nil
}

func writeRecipe(config string, packages []string) error {
	dir := filepath.Join(config, "recipes")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	var quoted []string
	for _, p := range packages {
		quoted = append(quoted, fmt.Sprintf("%q", p))
	}
	// Another recipe asks another question, so its lock is made anew.
	if err := os.Remove(filepath.Join(dir, "d2.lock")); err != nil && !os.IsNotExist(err) {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "d2.toml"), fmt.Appendf(nil, buildRecipe, strings.Join(quoted, ", ")), 0o644)
}

func (b *bench) imageBuild(ctx context.Context, config, state string) (time.Duration, error) {
	return timed(ctx, filepath.Join(b.bin, "sessionctl"), "--config", config, "--state", state, "image", "build", "d2")
}

// mmdebstrap makes the same request: what is essential, and the packages.
func (b *bench) mmdebstrap(ctx context.Context, mirror string) (time.Duration, error) {
	tree := filepath.Join(b.dir, "mmdebstrap")
	d, err := timed(ctx, found("mmdebstrap"), "--quiet", "--variant=essential", "--aptopt=APT::Install-Recommends \"true\"",
		"--include="+strings.Join(desktopRequest, ","), "bookworm", tree, mirror)
	if err != nil {
		return 0, err
	}
	return d, os.RemoveAll(tree)
}

// timed runs a long program once, from a page cache that holds nothing of its
// work to come.
func timed(ctx context.Context, argv ...string) (time.Duration, error) {
	var out bytes.Buffer
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 30 * time.Second
	cmd.Stdout, cmd.Stderr = &out, &out
	start := time.Now()
	if err := cmd.Run(); err != nil {
		tail := out.Bytes()
		return 0, fmt.Errorf("%s: %w: %s", strings.Join(argv, " "), err, tail[max(0, len(tail)-2000):])
	}
	return time.Since(start), nil
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.2f s", d.Seconds()) }
