package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// peers are the others' ways of doing the job.
func (b *bench) peers(ctx context.Context, j job) ([]contender, error) {
	floor := j.path("floor")
	cs := []contender{
		process("true alone: fork and exec", "/bin/true"),
		process(nameFloor, floor, "job", j.dir, "/bin/true"),
		{nameFloorInside, func(ctx context.Context) (time.Duration, error) {
			out, err := exec.CommandContext(ctx, floor, "time", j.dir, "/bin/true").Output()
			if err != nil {
				return 0, err
			}
			ns, err := strconv.ParseInt(strings.TrimSpace(string(out)), 10, 64)
			return time.Duration(ns), err
		}},
	}
	bwrap, err := b.bubblewrap(ctx, j)
	if err != nil {
		return nil, err
	}
	cs = append(cs, bwrap)

	if err := writeBundle(j); err != nil {
		return nil, err
	}
	// Tools that know no overlay get theirs from floor, the cheapest way.
	composed := func(argv ...string) []string { return append([]string{floor, "overlay", j.dir}, argv...) }
	cs = append(cs, process(nameRunc, composed(found("runc"), "--root", j.path("runc"), "run", "--bundle", j.path("bundle"), "bench")...))

	// crun and systemd-nspawn refuse the mixed cgroup layout of some machines.
	unified, err := newRoom(onlyCgroup2)
	if err != nil {
		return nil, err
	}
	crun := composed(found("crun"), "--cgroup-manager=disabled", "--root", j.path("crun"), "run", "--bundle", j.path("bundle"), "bench")
	nspawn := []string{
		found("systemd-nspawn"), "-q", "--register=no", "--keep-unit", "--console=pipe", "--private-users=no",
		"-D", j.path("base"), "--volatile=overlay",
	}
	for from, to := range writable {
		nspawn = append(nspawn, "--bind="+j.path("binds", from)+":"+to)
	}
	for from, to := range readOnly {
		nspawn = append(nspawn, "--bind-ro="+j.path("binds", from)+":"+to)
	}
	cs = append(cs,
		unified.process(nameCrun, nil, crun...),
		unified.process(nameNspawn, []string{"SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1"}, append(nspawn, "/bin/true")...))

	script := j.path("job.sh")
	if err := os.WriteFile(script, []byte(unshareScript), 0o755); err != nil {
		return nil, err
	}
	cs = append(cs,
		process("shell: unshare, mount, chroot", found("unshare"), "--mount", "--pid", "--fork", "--ipc", "--uts", "--propagation", "private", "/bin/sh", script, j.dir),
		process("firejail", found("firejail"), "--noprofile", "--quiet", "--ipc-namespace", "--private-dev", "--private-tmp", "/bin/true"))
	b.table.note("runc, crun and the shell do all of the job (runc and crun get their overlay from floor.c); systemd-nspawn has one lower less; firejail has neither overlay nor binds.")
	return cs, nil
}

// The names that targets refer to.
const (
	nameFloor       = "C floor: the job and nothing else"
	nameFloorInside = "C floor, without its own start"
	nameBwrap       = "bubblewrap"
	nameRunc        = "runc"
	nameCrun        = "crun"
	nameNspawn      = "systemd-nspawn --volatile=overlay"
)

// found is the program's path; a program that is not there fails by its name.
func found(name string) string {
	if p, err := exec.LookPath(name); err == nil {
		return p
	}
	return name
}

const unshareScript = `set -e
cd "$1"
mount -t tmpfs -o mode=0755 tmpfs scratch
mkdir scratch/upper scratch/work
mount -t overlay -o lowerdir=runtime:base,upperdir=scratch/upper,workdir=scratch/work overlay merged
cd merged
mount -t proc proc proc
mount -t tmpfs -o mode=0755 tmpfs dev
for d in null zero full random urandom tty; do : >dev/$d; mount --bind /dev/$d dev/$d; done
mkdir dev/pts dev/shm
mount -t devpts -o newinstance,ptmxmode=0666 devpts dev/pts
mount -t tmpfs tmpfs dev/shm
mount --bind ../binds/home home
mount --bind ../binds/user run/user
mount --bind -o ro ../binds/machine run/machine
mount --bind -o ro ../binds/tools run/tools
exec chroot . /bin/true
`

// onlyCgroup2 replaces what is at /sys/fs/cgroup by cgroup v2 alone.
func onlyCgroup2() error {
	const at = "/sys/fs/cgroup"
	var st unix.Statfs_t
	if err := unix.Statfs(at, &st); err == nil && st.Type == unix.CGROUP2_SUPER_MAGIC {
		return nil
	}
	if err := unix.Unmount(at, unix.MNT_DETACH); err != nil && err != unix.EINVAL {
		return fmt.Errorf("unmount %s: %w", at, err)
	}
	if err := unix.Mount("cgroup2", at, "cgroup2", 0, ""); err != nil {
		return fmt.Errorf("mount cgroup2 on %s: %w", at, err)
	}
	return nil
}

// writeBundle writes the OCI bundle of the job for runc and crun.
func writeBundle(j job) error {
	type m = map[string]any
	mounts := []m{
		{"destination": "/proc", "type": "proc", "source": "proc", "options": []string{"nosuid", "noexec", "nodev"}},
		{"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": []string{"nosuid", "mode=755"}},
		{"destination": "/dev/pts", "type": "devpts", "source": "devpts", "options": []string{"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"}},
		{"destination": "/dev/shm", "type": "tmpfs", "source": "shm", "options": []string{"nosuid", "nodev", "mode=1777"}},
	}
	for from, to := range writable {
		mounts = append(mounts, m{"destination": to, "type": "bind", "source": j.path("binds", from), "options": []string{"bind"}})
	}
	for from, to := range readOnly {
		mounts = append(mounts, m{"destination": to, "type": "bind", "source": j.path("binds", from), "options": []string{"bind", "ro", "nosuid", "nodev"}})
	}
	var namespaces []m
	for _, t := range []string{"mount", "pid", "ipc", "uts"} {
		namespaces = append(namespaces, m{"type": t})
	}
	config := m{
		"ociVersion": "1.0.0",
		"process": m{
			"user": m{"uid": 0, "gid": 0}, "args": []string{"/bin/true"}, "env": []string{"PATH=/usr/bin:/bin"}, "cwd": "/", "noNewPrivileges": true,
		},
		"root": m{"path": j.path("merged")}, "hostname": "bench", "mounts": mounts,
		"linux": m{"namespaces": namespaces, "resources": m{"devices": []m{{"allow": true, "access": "rwm"}}}},
	}
	data, err := json.Marshal(config)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(j.path("bundle"), 0o755); err != nil {
		return err
	}
	return os.WriteFile(j.path("bundle", "config.json"), data, 0o644)
}
