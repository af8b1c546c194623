package boot

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// mount is where a directory is mounted from.
type mount struct {
	Source string `json:"source"`
	Type   string `json:"fstype"`
	UUID   string `json:"uuid"`
	// Root is what of the file system is mounted, and Target where.
	Root   string `json:"fsroot"`
	Target string `json:"target"`
}

// mountOf asks findmnt(8), which knows UUIDs from udev.
func mountOf(ctx context.Context, run runner, dir string) (mount, error) {
	out, err := run(ctx, "findmnt", "--json", "--nofsroot", "--output", "SOURCE,FSTYPE,UUID,FSROOT,TARGET", "--target", dir)
	if err != nil {
		return mount{}, err
	}
	var found struct {
		Filesystems []mount `json:"filesystems"`
	}
	if err := json.Unmarshal(out, &found); err != nil || len(found.Filesystems) != 1 {
		return mount{}, fmt.Errorf("where %s is mounted from: findmnt answers %q", dir, out)
	}
	return found.Filesystems[0], nil
}

// inside is the path of name from the top of the file system.
func (m mount) inside(name string) string {
	rel, err := filepath.Rel(m.Target, name)
	if err != nil {
		rel = name
	}
	return filepath.Join("/", m.Root, rel)
}

// runner runs a program of the machine and returns what it writes.
type runner func(ctx context.Context, name string, args ...string) ([]byte, error)

// programs are looked for where root's alone are.
const programs = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

func run(ctx context.Context, name string, args ...string) ([]byte, error) {
	file := name
	for _, dir := range filepath.SplitList(programs) {
		if st, err := os.Stat(filepath.Join(dir, name)); err == nil && st.Mode().IsRegular() && st.Mode()&0o111 != 0 {
			file = filepath.Join(dir, name)
			break
		}
	}
	c := exec.CommandContext(ctx, file, args...)
	c.Env = []string{"PATH=" + programs, "LC_ALL=C.UTF-8", "TMPDIR=/var/tmp"}
	out, err := c.Output()
	if err != nil {
		var status *exec.ExitError
		if errors.As(err, &status) {
			err = fmt.Errorf("%w: %s", err, lastLine(status.Stderr))
		}
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return out, nil
}

func lastLine(b []byte) string {
	text := strings.TrimSpace(string(b))
	return text[strings.LastIndexByte(text, '\n')+1:]
}

// remove removes a file, or a directory with all in it, on disk. What is gone is no error.
func remove(name string) error {
	if err := os.RemoveAll(name); err != nil {
		return err
	}
	d, err := os.Open(filepath.Dir(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
