package export

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// directory lets fill write into a new directory, root's alone until it is done, and
// then gives that the name to, which may be an empty directory's. What is
// written aside begins with a dot and ends in .new.
//
// fill gets the directory by its descriptor: who can write beside it cannot lead
// it elsewhere.
func directory(to string, fill func(aside string) error) error {
	switch list, err := os.ReadDir(to); {
	case err == nil && len(list) > 0, err != nil && !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%s: %w; name a directory that is not there", to, ErrExists)
	}
	aside, err := os.MkdirTemp(filepath.Dir(to), ".*.new")
	if err != nil {
		return err
	}
	defer os.RemoveAll(aside) // there is none once it has its name
	d, err := os.OpenFile(aside, os.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	defer d.Close()
	if err := fill(fmt.Sprintf("/proc/self/fd/%d/.", d.Fd())); err != nil {
		return err
	}
	// One call instead of a sync for each file.
	if err := unix.Syncfs(int(d.Fd())); err != nil {
		return err
	}
	if err := os.Rename(aside, to); err != nil {
		return err
	}
	parent, err := os.Open(filepath.Dir(to))
	if err != nil {
		return err
	}
	defer parent.Close()
	return parent.Sync()
}
