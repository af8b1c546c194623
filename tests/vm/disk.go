package vm

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Disk is a bootable disk, with the kernel and initrd that start it beside it.
type Disk struct{ Image, Kernel, Initrd string }

// Open returns the disk that Make left in dir.
func Open(dir string) (Disk, bool) {
	d := Disk{Image: dir + "/disk", Kernel: dir + "/vmlinuz", Initrd: dir + "/initrd"}
	_, err := os.Stat(d.Image)
	return d, err == nil
}

// Make makes the directory dir with a disk in it that holds the tree, a root
// file system with one kernel. It appears whole or not at all.
func Make(ctx context.Context, tree, dir string) (Disk, error) {
	d, _ := Open(dir)
	work, err := os.MkdirTemp(filepath.Dir(dir), "making-")
	if err != nil {
		return d, err
	}
	defer os.RemoveAll(work)
	made := filepath.Join(work, "made")
	if err := os.Mkdir(made, 0o755); err != nil {
		return d, err
	}
	for name, pattern := range map[string]string{"vmlinuz": "vmlinuz-*", "initrd": "initrd.img-*"} {
		found, _ := filepath.Glob(filepath.Join(tree, "boot", pattern))
		if len(found) != 1 {
			return d, fmt.Errorf("want one %s in %s/boot, have %v", name, tree, found)
		}
		if err := run(ctx, "cp", "--", found[0], filepath.Join(made, name)); err != nil {
			return d, err
		}
	}
	if err := format(ctx, filepath.Join(made, "disk"), tree, "3G"); err != nil {
		return d, err
	}
	return d, os.Rename(made, dir)
}

// Payload makes a second disk in dir that holds files (name in it -> file here)
// and the script /run that starts at boot.
func Payload(ctx context.Context, dir string, files map[string]string, script string) (string, error) {
	tree := filepath.Join(dir, "payload.tree")
	if err := os.Mkdir(tree, 0o755); err != nil {
		return "", err
	}
	for name, file := range files {
		to := filepath.Join(tree, name)
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return "", err
		}
		if err := run(ctx, "cp", "-r", "--", file, to); err != nil {
			return "", err
		}
	}
	if err := os.WriteFile(filepath.Join(tree, "run"), []byte(script), 0o755); err != nil {
		return "", err
	}
	disk := filepath.Join(dir, "payload")
	return disk, format(ctx, disk, tree, "1G")
}

func format(ctx context.Context, disk, tree, size string) error {
	if err := run(ctx, "truncate", "--size="+size, disk); err != nil {
		return err
	}
	return run(ctx, "mkfs.ext4", "-q", "-d", tree, disk)
}

// RunPayload are words for the kernel's command line that have systemd run the
// payload, and nothing else, and switch off.
var RunPayload = []string{
	`systemd.run="/bin/sh -c 'mount /dev/vdb /mnt && exec /mnt/run'"`,
	"systemd.run_success_action=poweroff-force", "systemd.run_failure_action=poweroff-force",
}

// Boot starts a machine on the disk, which is never changed, with the payload
// as its second disk, and returns what it wrote to its serial console until it
// switched itself off. The console's file is in dir.
func Boot(ctx context.Context, d Disk, payload, dir string, words ...string) (string, error) {
	console := filepath.Join(dir, "console")
	line := append([]string{"root=/dev/vda", "rw", "console=ttyS0", "quiet", "panic=-1", "systemd.show_status=0"}, words...)
	err := run(ctx, "qemu-system-x86_64", "-accel", "tcg", "-cpu", "max", "-smp", "2", "-m", "2048",
		"-display", "none", "-serial", "file:"+console, "-nic", "none", "-no-reboot",
		"-kernel", d.Kernel, "-initrd", d.Initrd, "-append", strings.Join(line, " "),
		"-drive", "file="+d.Image+",format=raw,if=virtio,snapshot=on",
		"-drive", "file="+payload+",format=raw,if=virtio")
	text, readErr := os.ReadFile(console)
	if err == nil {
		err = readErr
	}
	return string(text), err
}

func run(ctx context.Context, name string, args ...string) error {
	out, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		return fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, tail(bytes.TrimSpace(out)))
	}
	return nil
}

func tail[T []byte | string](s T) string {
	if len(s) > 4000 {
		return fmt.Sprintf("[%d bytes before]\n%s", len(s)-4000, s[len(s)-4000:])
	}
	return string(s)
}
