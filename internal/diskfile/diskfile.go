// Package diskfile makes file systems in files, sparse at first, with the machine's own
// programs: what is full then is that file system, and not the disk below.
package diskfile

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// ErrProgram says that one of the machine's programs is missing, or failed.
var ErrProgram = errors.New("a program of the machine's failed")

// longest bounds what a program may take.
const longest = time.Minute

// Make makes an ext4 file system of size bytes in file, which must not exist and is
// root's alone then. It begins with what is in the directory seed; "" is nothing.
func Make(ctx context.Context, file string, size int64, seed string) error {
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	if err := errors.Join(f.Truncate(size), f.Close()); err != nil {
		return err
	}
	args := []string{"-q", "-F", "-m", "0", "-E", "lazy_itable_init=1,lazy_journal_init=1"}
	if seed != "" {
		args = append(args, "-d", seed)
	}
	return Run(ctx, "mkfs.ext4", append(args, file)...)
}

// Run runs one of the machine's programs; what it writes is in the error.
func Run(ctx context.Context, name string, args ...string) error {
	ctx, cancel := context.WithTimeout(ctx, longest)
	defer cancel()
	for _, dir := range []string{"/usr/sbin", "/usr/bin", "/sbin", "/bin"} {
		path := filepath.Join(dir, name)
		if _, err := os.Stat(path); err != nil {
			continue
		}
		c := exec.CommandContext(ctx, path, args...)
		c.Env = []string{"LC_ALL=C", "PATH=/usr/sbin:/usr/bin:/sbin:/bin"}
		if out, err := c.CombinedOutput(); err != nil {
			return fmt.Errorf("%w: %s: %w: %.500s", ErrProgram, name, err, out)
		}
		return nil
	}
	return fmt.Errorf("%w: there is no %s", ErrProgram, name)
}

// Used is what a file takes on the disk, in bytes.
func Used(file string) (int64, error) {
	var st unix.Stat_t
	if err := unix.Lstat(file, &st); err != nil {
		return 0, &os.PathError{Op: "stat", Path: file, Err: err}
	}
	return st.Blocks * 512, nil
}
