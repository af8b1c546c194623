package boot

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Firmware is where Debian's ovmf keeps the firmware and its empty variables.
const (
	firmware  = "/usr/share/OVMF/OVMF_CODE_4M.fd"
	variables = "/usr/share/OVMF/OVMF_VARS_4M.fd"
)

// Sizes in MiB: the gap that a partition table lies in, the EFI system
// partition, and the root file system.
const (
	gap  = 1
	esp  = 160
	root = 3072
)

// kind is a machine with one boot loader.
type kind struct {
	name, suite string
	packages    []string
	// long is one that make long starts alone.
	long bool
	// made are lines of shell that prepare the tree, and espFiles are copied to the
	// partition: name there -> file of the tree.
	made     string
	espFiles map[string]string
}

const line = "root=/dev/vda2 rw console=ttyS0 quiet systemd.show_status=0 no_timer_check reboot=t"

var kinds = []kind{{
	name: "bookworm", suite: "bookworm", packages: []string{"grub-efi-amd64-bin", "grub2-common", "dosfstools"},
	made: small + `grub-mkimage -O x86_64-efi -o /efi.new -p '(hd0,gpt2)/boot/grub' part_gpt ext2 fat normal linux search search_fs_uuid search_label configfile loadenv test echo all_video gzio minicmd true sleep
mkdir -p /boot/grub
cat >/boot/grub/grub.cfg <<'END'
set root=(hd0,gpt2)
linux /vmlinuz ` + line + `
initrd /initrd.img
boot
END
cat >/etc/default/grub <<'END'
GRUB_TIMEOUT=0
GRUB_CMDLINE_LINUX="console=ttyS0 quiet systemd.show_status=0 no_timer_check reboot=t"
GRUB_TERMINAL=console
END`,
	espFiles: map[string]string{"EFI/BOOT/BOOTX64.EFI": "efi.new"},
}, {
	name: "trixie", suite: "trixie", packages: []string{"systemd-boot", "systemd-boot-efi", "dosfstools"},
	made: small + systemdBoot, espFiles: systemdBootFiles,
}, {
	name: "dracut", suite: "trixie", packages: []string{"systemd-boot", "systemd-boot-efi", "dosfstools", "dracut", "squashfs-tools"}, long: true,
	made: `version=$(ls /usr/lib/modules)
dracut --force --no-hostonly --quiet --add-drivers virtio_blk "/boot/initrd.img-$version" "$version"
` + systemdBoot,
	espFiles: systemdBootFiles,
}}

const systemdBoot = `cat >/loader.new <<'END'
timeout 0
END
cat >/entry.new <<'END'
title Debian
linux /debian/linux
initrd /debian/initrd
options ` + line + `
END`

var systemdBootFiles = map[string]string{"EFI/BOOT/BOOTX64.EFI": "usr/lib/systemd/boot/efi/systemd-bootx64.efi", "EFI/systemd/systemd-bootx64.efi": "usr/lib/systemd/boot/efi/systemd-bootx64.efi",
	"loader/loader.conf": "loader.new", "loader/entries/debian.conf": "entry.new", "debian/linux": "vmlinuz", "debian/initrd": "initrd.img"}

// small has initramfs-tools make the small initramfs of a machine that knows its
// disk, which takes seconds there instead of a minute.
const small = `echo MODULES=dep >/etc/initramfs-tools/conf.d/test
echo COMPRESS=lz4 >>/etc/initramfs-tools/conf.d/test
`

// common prepares every tree.
const common = `mkdir -p /boot/efi
printf '%s\n' '/dev/vda2 / ext4 defaults 0 0' '/dev/vda1 /boot/efi vfat umask=0077 0 0' >/etc/fstab
`

// makeDisk makes the file disk of a tree, which it changes.
func makeDisk(ctx context.Context, k kind, tree, disk string) error {
	if err := run(ctx, "chroot", tree, "sh", "-ec", common+k.made); err != nil {
		return err
	}
	part := disk + ".part"
	defer os.Remove(part)
	steps := [][]string{
		{"truncate", fmt.Sprintf("--size=%dM", gap+esp+root+gap), disk},
		{"sh", "-c", fmt.Sprintf("printf 'label: gpt\\nstart=%dMiB, size=%dMiB, type=uefi\\nstart=%dMiB, size=%dMiB, type=linux\\n' | sfdisk --quiet \"$0\"", gap, esp, gap+esp, root), disk},
		{"truncate", fmt.Sprintf("--size=%dM", esp), part},
		{"mkfs.vfat", part},
	}
	files := disk + ".files"
	defer os.RemoveAll(files)
	for to, from := range k.espFiles {
		to = filepath.Join(files, to)
		steps = append(steps, []string{"mkdir", "-p", filepath.Dir(to)}, []string{"cp", "-L", filepath.Join(tree, from), to})
	}
	steps = append(steps, []string{"sh", "-c", `mcopy -s -i "$0" "$1"/* ::`, part, files})
	steps = append(steps,
		[]string{"dd", "status=none", "conv=notrunc,sparse", "bs=1M", "if=" + part, "of=" + disk, fmt.Sprint("seek=", gap)},
		[]string{"rm", part},
		[]string{"truncate", fmt.Sprintf("--size=%dM", root), part},
		[]string{"mkfs.ext4", "-q", "-d", tree, part},
		[]string{"dd", "status=none", "conv=notrunc,sparse", "bs=1M", "if=" + part, "of=" + disk, fmt.Sprint("seek=", gap+esp)})
	for _, s := range steps {
		if err := run(ctx, s[0], s[1:]...); err != nil {
			return err
		}
	}
	return nil
}

// start runs a machine until it switches itself off, and returns what it wrote to its
// serial console. The disk is not changed beyond that.
func start(ctx context.Context, disk, payload, dir string) (string, error) {
	vars, console := filepath.Join(dir, "variables"), filepath.Join(dir, "console")
	if err := run(ctx, "cp", variables, vars); err != nil {
		return "", err
	}
	err := run(ctx, "qemu-system-x86_64", "-accel", "tcg", "-cpu", "max", "-smp", "2", "-m", "1280", "-machine", "q35",
		"-display", "none", "-serial", "file:"+console, "-nic", "none",
		"-drive", "if=pflash,format=raw,unit=0,readonly=on,file="+firmware, "-drive", "if=pflash,format=raw,unit=1,file="+vars,
		"-drive", "file="+disk+",format=raw,if=virtio,snapshot=on,cache=unsafe", "-drive", "file="+payload+",format=raw,if=virtio,cache=unsafe")
	text, readErr := os.ReadFile(console)
	return string(text), errors.Join(err, readErr)
}

func run(ctx context.Context, name string, args ...string) error {
	out, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		return fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, out)
	}
	return nil
}
