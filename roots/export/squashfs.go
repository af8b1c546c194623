package export

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"

	"golang.org/x/sys/unix"

	"ninefold/roots/image"
	"ninefold/roots/layer"
	"ninefold/roots/store"
)

// squashfs lets mksquashfs (squashfs-tools 4.5) make the file from a tar, so that
// nothing is unpacked. The program runs with an environment built from nothing and gets
// two descriptors; what is in the tar is the store's.
func squashfs(ctx context.Context, s *store.Store, tree *image.Tree, f *os.File) error {
	program, err := exec.LookPath("mksquashfs")
	if err != nil {
		return fmt.Errorf("mksquashfs: %w: it is in the package squashfs-tools", ErrTool)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	// -tar takes no root from the archive, and gives it the time of now, but for the
	// latest time that there may be. Level 3 is a third of the time of the default
	// 15, for a file some percent larger.
	var latest int64
	for i := range tree.Entries {
		latest = max(latest, tree.Entries[i].MTime)
	}
	cmd := exec.CommandContext(ctx, program, "-", "/proc/self/fd/3", "-tar", "-noappend", "-quiet", "-no-progress",
		"-processors", strconv.Itoa(runtime.GOMAXPROCS(0)),
		"-comp", "zstd", "-Xcompression-level", "3",
		"-root-mode", "755", "-root-uid", "0", "-root-gid", "0")
	cmd.Env, cmd.Dir = []string{"PATH=/usr/bin:/bin", "LC_ALL=C.UTF-8", fmt.Sprintf("SOURCE_DATE_EPOCH=%d", latest)}, "/"
	cmd.ExtraFiles = []*os.File{f}
	said := &bytes.Buffer{}
	cmd.Stdout, cmd.Stderr = said, said
	in, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", program, err)
	}
	wrote := errors.Join(layer.WriteRoot(ctx, s, tree.Entries, in), in.Close())
	if wrote != nil && !errors.Is(wrote, unix.EPIPE) {
		// A tar that stops short might be taken for a whole one of fewer files.
		cancel()
		_ = cmd.Wait()
		return wrote
	}
	if err := errors.Join(cmd.Wait(), wrote); err != nil {
		return fmt.Errorf("mksquashfs: %w: %.1000s", err, bytes.TrimSpace(said.Bytes()))
	}
	return nil
}
