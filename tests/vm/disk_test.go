package vm

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// release is a Debian release whose kernel is tested on.
type release struct {
	suite  string
	kernel string // what uname -r begins with
}

var packages = []string{"linux-image-cloud-amd64", "systemd-sysv", "udev", "procps", "xz-utils", "e2fsprogs"}

// machine is a bootable disk with the kernel beside it.
type machine struct{ disk, kernel, initrd string }

// cacheDir keeps disks between runs; they are made again when their recipe changes.
func cacheDir() string {
	if dir := os.Getenv("NINEFOLD_TEST_CACHE"); dir != "" {
		return dir
	}
	return "/var/cache/ninefold-tests"
}

// prepare makes the release's disk, once.
func prepare(ctx context.Context, t *testing.T, r release) machine {
	t.Helper()
	dir := filepath.Join(cacheDir(), "vm-1-"+r.suite)
	m := machine{disk: dir + "/disk", kernel: dir + "/vmlinuz", initrd: dir + "/initrd"}
	if _, err := os.Stat(m.disk); err == nil {
		return m
	}
	if err := os.MkdirAll(cacheDir(), 0o755); err != nil {
		t.Fatal(err)
	}
	work, err := os.MkdirTemp(cacheDir(), "making-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(work)
	tree, made := filepath.Join(work, "tree"), filepath.Join(work, "made")
	if err := os.Mkdir(made, 0o755); err != nil {
		t.Fatal(err)
	}
	run(ctx, t, "mmdebstrap", "--quiet", "--variant=minbase", "--include="+strings.Join(packages, ","), r.suite, tree)
	for name, pattern := range map[string]string{"vmlinuz": "vmlinuz-*", "initrd": "initrd.img-*"} {
		found, _ := filepath.Glob(filepath.Join(tree, "boot", pattern))
		if len(found) != 1 {
			t.Fatalf("%s: want one %s in /boot, have %v", r.suite, pattern, found)
		}
		run(ctx, t, "cp", "--", found[0], filepath.Join(made, name))
	}
	run(ctx, t, "truncate", "--size=3G", filepath.Join(made, "disk"))
	run(ctx, t, "mkfs.ext4", "-q", "-d", tree, filepath.Join(made, "disk"))
	if err := os.Rename(made, dir); err != nil {
		t.Fatal(err)
	}
	return m
}

// payload makes a second disk that holds files (name in it -> file here) and
// the script /run that starts at boot.
func payload(ctx context.Context, t *testing.T, files map[string]string, script string) string {
	t.Helper()
	tree := t.TempDir()
	for name, file := range files {
		to := filepath.Join(tree, name)
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			t.Fatal(err)
		}
		run(ctx, t, "cp", "-r", "--", file, to)
	}
	if err := os.WriteFile(filepath.Join(tree, "run"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	disk := filepath.Join(t.TempDir(), "payload")
	run(ctx, t, "truncate", "--size=1G", disk)
	run(ctx, t, "mkfs.ext4", "-q", "-d", tree, disk)
	return disk
}

// boot starts the machine with the payload and returns what it wrote to its
// console until it powered itself off. Its own disk is never changed.
func boot(ctx context.Context, t *testing.T, m machine, payload string) string {
	t.Helper()
	console := filepath.Join(t.TempDir(), "console")
	line := []string{
		"root=/dev/vda", "rw", "console=ttyS0", "quiet", "panic=-1", "systemd.show_status=0",
		`systemd.run="/bin/sh -c 'mount /dev/vdb /mnt && exec /mnt/run'"`,
		"systemd.run_success_action=poweroff-force", "systemd.run_failure_action=poweroff-force",
	}
	run(ctx, t, "qemu-system-x86_64", "-accel", "tcg", "-cpu", "max", "-smp", "2", "-m", "2048",
		"-display", "none", "-serial", "file:"+console, "-nic", "none", "-no-reboot",
		"-kernel", m.kernel, "-initrd", m.initrd, "-append", strings.Join(line, " "),
		"-drive", "file="+m.disk+",format=raw,if=virtio,snapshot=on",
		"-drive", "file="+payload+",format=raw,if=virtio")
	text, err := os.ReadFile(console)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func run(ctx context.Context, t *testing.T, name string, args ...string) {
	t.Helper()
	out, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, tail(string(out)))
	}
}

func tail(s string) string {
	if len(s) > 4000 {
		return fmt.Sprintf("[%d bytes before]\n%s", len(s)-4000, s[len(s)-4000:])
	}
	return s
}
