package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// What the archive of the rebase row has, and what a context has beside that.
	rebasePackages = 8
	rebaseFiles    = 500 // in each package
	rebaseOwn      = 200 // made by hand
	rebaseRounds   = 9
)

// rebase measures moving a context along beside what the package manager alone
// takes for the same packages: apt-get in an overlay over the same machine, by mount
// and chroot, until it is unmounted again. For the machine to move, the bench has a
// copy of dpkg's notes.
func (b *bench) rebase(ctx context.Context) error {
	dir := filepath.Join(b.dir, "rebase")
	archive, config, state := filepath.Join(dir, "archive"), filepath.Join(dir, "config"), filepath.Join(dir, "state")
	// apt's own user has to get at the archive.
	if err := errors.Join(os.Chmod(b.dir, 0o755), os.Mkdir(dir, 0o755), os.Mkdir(archive, 0o755), os.Mkdir(config, 0o755), os.Mkdir(state, 0o755)); err != nil {
		return err
	}
	packages, err := makeArchive(ctx, archive)
	if err != nil {
		b.table.note("rebase is not measured: %v", err)
		return nil
	}
	notes := filepath.Join(dir, "dpkg")
	if _, err := timed(ctx, "cp", "-a", "/var/lib/dpkg", notes); err != nil {
		return err
	}
	machine, err := newRoom(func() error {
		return os.NewSyscallError("mount", unix.Mount(notes, "/var/lib/dpkg", "", unix.MS_BIND, ""))
	})
	if err != nil {
		return err
	}
	hc := func(args ...string) (d time.Duration, err error) {
		argv := append([]string{filepath.Join(b.bin, "sessionctl"), "--config", config, "--state", state, "context"}, args...)
		machine.do(func() { d, err = timeProcess(ctx, nil, argv...) })
		return d, err
	}
	sources := fmt.Sprintf("rm -rf /etc/apt/sources.list /etc/apt/sources.list.d/*; echo 'deb [trusted=yes] file:%s ./' >/etc/apt/sources.list", archive)
	install := "export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8; apt-get update -qq; apt-get install -qq -y " + strings.Join(packages, " ")
	own := fmt.Sprintf("mkdir /srv/own; for i in $(seq %d); do echo $i >/srv/own/$i; done", rebaseOwn)
	if _, err := hc("new", "moves"); err != nil {
		b.table.note("rebase is not measured: %v", err)
		return nil
	}
	if _, err := hc("enter", "moves", "--", "sh", "-ec", sources+"; "+install+"; "+own); err != nil {
		return err
	}
	const ours, others = "rebase", "apt-get in an overlay"
	moves := 0
	results, failed := interleaved(ctx, 1, rebaseRounds, []contender{
		{ours, func(context.Context) (time.Duration, error) {
			moves++
			if err := moveMachine(notes, moves); err != nil {
				return 0, err
			}
			unix.Sync() // what the other left to be written is not measured
			return hc("rebase", "moves")
		}},
		{others, func(ctx context.Context) (time.Duration, error) { return inOverlay(ctx, dir, sources, install) }},
	})
	for name, err := range failed {
		b.table.note("%s: %v", name, err)
	}
	b.compare(results, fmt.Sprintf("rebase with %d packages : apt-get install in an overlay", rebasePackages), ours, others, 1.1)
	return nil
}

// makeArchive makes packages and an archive of them without directories, and returns
// their names.
func makeArchive(ctx context.Context, dir string) (names []string, err error) {
	if _, err := exec.LookPath("apt-get"); err != nil {
		return nil, err
	}
	var index strings.Builder
	for i := range rebasePackages {
		name := fmt.Sprintf("ninefold-bench-%d", i)
		tree := filepath.Join(dir, "tree")
		files := filepath.Join(tree, "usr/share", name)
		if err := errors.Join(os.MkdirAll(files, 0o755), os.Mkdir(filepath.Join(tree, "DEBIAN"), 0o755)); err != nil {
			return nil, err
		}
		for k := range rebaseFiles {
			text := strings.Repeat(fmt.Sprintf("%s %d\n", name, k), 400)
			if err := os.WriteFile(filepath.Join(files, fmt.Sprint(k)), []byte(text), 0o644); err != nil {
				return nil, err
			}
		}
		about := fmt.Sprintf("Package: %s\nVersion: 1\nArchitecture: all\nMaintainer: Bench <bench@example.org>\nDescription: a package to measure with\n", name)
		deb := name + ".deb"
		if err := errors.Join(os.WriteFile(filepath.Join(tree, "DEBIAN/control"), []byte(about), 0o644),
			os.WriteFile(filepath.Join(tree, "DEBIAN/postinst"), []byte("#!/bin/sh\nexit 0\n"), 0o755)); err != nil {
			return nil, err
		}
		if _, err := timed(ctx, "dpkg-deb", "--root-owner-group", "-b", tree, filepath.Join(dir, deb)); err != nil {
			return nil, err
		}
		content, err := os.ReadFile(filepath.Join(dir, deb))
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(&index, "%sFilename: ./%s\nSize: %d\nSHA256: %x\n\n", about, deb, len(content), sha256.Sum256(content))
		names = append(names, name)
		if err := os.RemoveAll(tree); err != nil {
			return nil, err
		}
	}
	return names, os.WriteFile(filepath.Join(dir, "Packages"), []byte(index.String()), 0o644)
}

// moveMachine has dpkg's notes in a directory speak of a package in another version.
func moveMachine(notes string, version int) error {
	status := filepath.Join(notes, "status")
	text, err := os.ReadFile(status)
	if err != nil {
		return err
	}
	const name = "ninefold-bench-machine"
	before, _, _ := strings.Cut(string(text), "Package: "+name+"\n")
	now := fmt.Sprintf("%sPackage: %s\nStatus: install ok installed\nMaintainer: Bench <bench@example.org>\nArchitecture: all\nVersion: %d\nDescription: what moves\n\n", before, name, version)
	return errors.Join(os.WriteFile(filepath.Join(notes, "info", name+".list"), []byte("/.\n"), 0o644),
		os.WriteFile(status+".bench", []byte(now), 0o644), os.Rename(status+".bench", status))
}

// inOverlay runs a script in a fresh overlay over the machine below dir, after another
// one that does not count. It takes from the mount to the end of the unmount, which
// brings to disk what was written.
func inOverlay(ctx context.Context, dir, before, script string) (time.Duration, error) {
	at := filepath.Join(dir, "peer")
	for _, sub := range []string{"upper", "work", "root"} {
		if err := os.MkdirAll(filepath.Join(at, sub), 0o755); err != nil {
			return 0, err
		}
	}
	run := func(script string) (time.Duration, error) {
		return timed(ctx, "unshare", "-m", "sh", "-ec", `cd "$1"
			mount -t overlay -o lowerdir=/,upperdir=upper,workdir=work overlay root
			mount -t proc proc root/proc; mount --rbind /dev root/dev
			chroot root sh -ec "$2" >/dev/null 2>&1
			umount -R root`, "sh", at, script)
	}
	_, err := run(before)
	var d time.Duration
	if err == nil {
		unix.Sync()
		d, err = run(script)
	}
	return d, errors.Join(err, os.RemoveAll(at))
}
