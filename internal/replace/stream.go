package replace

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// Stream puts what write writes in the place of the file called name, with that
// mode, as File does. Where the file system can (O_TMPFILE, open(2)), what
// is written aside has no name, so that nothing is left of a process that is
// killed.
func Stream(name string, mode fs.FileMode, write func(*os.File) error) error {
	dir := filepath.Dir(name)
	f, named, err := aside(dir)
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	err = write(f)
	if err == nil {
		err = errors.Join(f.Chmod(mode), f.Sync())
	}
	temp := f.Name()
	if err == nil && !named {
		temp = filepath.Join(dir, "."+rand.Text()+".new")
		err = unix.Linkat(unix.AT_FDCWD, "/proc/self/fd/"+strconv.Itoa(int(f.Fd())), unix.AT_FDCWD, temp, unix.AT_SYMLINK_FOLLOW)
		named = err == nil
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(temp, name)
	}
	if err != nil {
		if named {
			_ = os.Remove(temp)
		}
		return fmt.Errorf("write %s: %w", name, err)
	}
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	defer d.Close()
	return d.Sync()
}

func aside(dir string) (f *os.File, named bool, err error) {
	fd, err := unix.Open(dir, unix.O_TMPFILE|unix.O_RDWR|unix.O_CLOEXEC, 0o600)
	if err == nil {
		return os.NewFile(uintptr(fd), dir), false, nil
	}
	if !errors.Is(err, unix.EOPNOTSUPP) && !errors.Is(err, unix.EISDIR) && !errors.Is(err, unix.ENOENT) {
		return nil, false, err
	}
	f, err = os.CreateTemp(dir, ".*.new")
	return f, true, err
}
