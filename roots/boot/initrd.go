package boot

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

//go:embed early/*.sh
var early embed.FS

// makeInitrd makes an initramfs of the kernel in the file to, by the machine's
// own configuration and our scripts beside it. The machine's own initramfs is not touched. work is a directory
// of its own.
func makeInitrd(ctx context.Context, run runner, etc, version, work, to string) error {
	// A package that was removed leaves its configuration.
	if _, err := os.Stat(filepath.Join(etc, "initramfs-tools")); err == nil && !dracutAlone(filepath.Dir(etc)) {
		return withInitramfsTools(ctx, run, filepath.Join(etc, "initramfs-tools"), version, work, to)
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return withDracut(ctx, run, version, work, to)
}

// dracutAlone reports whether a root has dracut(8) and no mkinitramfs(8).
func dracutAlone(root string) bool {
	has := func(name string) bool {
		_, err := os.Stat(filepath.Join(root, name))
		return err == nil
	}
	return (has("usr/bin/dracut") || has("usr/sbin/dracut")) && !has("usr/sbin/mkinitramfs")
}

// withInitramfsTools has mkinitramfs(8) read a copy of its configuration.
func withInitramfsTools(ctx context.Context, run runner, etc, version, work, to string) error {
	config := filepath.Join(work, "initramfs-tools")
	if err := os.CopyFS(config, os.DirFS(etc)); err != nil {
		return fmt.Errorf("copy %s: %w", etc, err)
	}
	err := lay(config, map[string]string{"hooks/ninefold": "initramfs-hook.sh", "scripts/local-bottom/ninefold": "initramfs-script.sh", "ninefold/overlay.sh": "overlay.sh"})
	if err != nil {
		return err
	}
	_, err = run(ctx, "mkinitramfs", "-d", config, "-o", to, version)
	return err
}

// withDracut has dracut(8) take the scripts in as files.
func withDracut(ctx context.Context, run runner, version, work, to string) error {
	err := lay(work, map[string]string{"hook": "dracut-hook.sh", "overlay.sh": "overlay.sh"})
	if err != nil {
		return err
	}
	_, err = run(ctx, "dracut", "--force", "--quiet", "--kver", version,
		"--include", filepath.Join(work, "hook"), "/usr/lib/dracut/hooks/pre-pivot/50-ninefold.sh",
		"--include", filepath.Join(work, "overlay.sh"), "/usr/lib/ninefold/overlay.sh",
		"--add-drivers", "loop overlay erofs squashfs", "--install", "mount umount mkdir chmod sleep ln cat", to)
	return err
}

// lay writes scripts into dir: name there -> name in early.
func lay(dir string, scripts map[string]string) error {
	for name, from := range scripts {
		text, err := early.ReadFile("early/" + from)
		if err != nil {
			return err
		}
		to := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(to, text, 0o755); err != nil {
			return err
		}
	}
	return nil
}
