package machine

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"ninefold/tests/needs"
)

// exportedLauncher mounts a file of a kind and has systemd-nspawn boot what is in
// it, with every change in memory, until the unit done.service has run.
const exportedLauncher = `set -eu
mount --make-rprivate /
mount -t proc proc /proc
mount -t "$1" -o loop,ro "$2" "$3/root"
exec systemd-nspawn -D "$3/root" --volatile=overlay --boot --machine="exported-$$" --register=no --keep-unit --settings=no \
	--console=pipe --bind="$3/out:/out" --bind-ro="$3/done.service:/etc/systemd/system/done.service" systemd.unit=done.service`

const doneService = `[Unit]
SuccessAction=exit
FailureAction=exit
[Service]
Type=oneshot
ExecStart=/bin/sh -ec 'touch /usr/written /etc/written; cat /proc/1/comm >/out/said'
`

// TestAnExportedImageBoots boots an image with systemd inside from each of the file
// systems that it can be exported to.
func TestAnExportedImageBoots(t *testing.T) {
	Able(t, "mksquashfs", "unshare")
	if os.Getenv(Inside) != "" {
		needs.Elsewhere(t, "it is tried on the host")
	}
	state, err := image()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	for _, form := range []string{"erofs", "squashfs"} {
		dir := t.TempDir()
		for _, d := range []string{"root", "out"} {
			if err := os.Mkdir(filepath.Join(dir, d), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.WriteFile(filepath.Join(dir, "done.service"), []byte(doneService), 0o644); err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(dir, "file")
		if out, err := exec.CommandContext(ctx, "../../bin/sessionctl", "--state", state, "image", "export", "login", "--to", form, file).CombinedOutput(); err != nil {
			t.Fatalf("export to %s: %v: %s", form, err, tail(out))
		}
		boot := exec.CommandContext(ctx, "/bin/sh", "-c", exportedLauncher, "launcher", form, file, dir)
		boot.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWPID, Pdeathsig: syscall.SIGKILL}
		if out, err := boot.CombinedOutput(); err != nil {
			t.Errorf("%s: %v: %s", form, err, tail(out))
		}
		if said, err := os.ReadFile(filepath.Join(dir, "out", "said")); err != nil || string(said) != "systemd\n" {
			t.Errorf("%s: the first process is %q (%v)", form, said, err)
		}
	}
}
