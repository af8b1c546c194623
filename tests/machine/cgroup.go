package machine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// cgroup is a machine's own: systemd-nspawn puts the machine below the one it
// was started in, and two of them in one would share it. Where the host still
// has systemd's legacy hierarchy there is one in that, too.
type cgroup struct {
	dir, legacy string
	root        string // where the machine sees its own root
}

func makeCgroup(name string) (*cgroup, error) {
	unified, legacy, err := hierarchies()
	if err != nil {
		return nil, err
	}
	c := &cgroup{dir: filepath.Join(unified, name), root: filepath.Join(unified, name, "payload")}
	if legacy != "" {
		c.legacy = filepath.Join(legacy, name)
	}
	for _, dir := range []string{c.dir, c.legacy} {
		if dir == "" {
			continue
		}
		if err := os.Mkdir(dir, 0o755); err != nil {
			return nil, errors.Join(fmt.Errorf("make the machine's cgroup: %w", err), c.remove())
		}
	}
	return c, nil
}

// hierarchies finds where cgroup2 and, if it is there, systemd's named v1
// hierarchy are mounted.
func hierarchies() (unified, legacy string, err error) {
	table, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return "", "", err
	}
	for line := range strings.Lines(string(table)) {
		before, after, _ := strings.Cut(line, " - ")
		f, kind := strings.Fields(before), strings.Fields(after)
		if len(f) < 5 || len(kind) < 3 {
			continue
		}
		switch {
		case kind[0] == "cgroup2" && unified == "":
			unified = f[4]
		case kind[0] == "cgroup" && strings.Contains(kind[2], "name=systemd"):
			legacy = f[4]
		}
	}
	if unified == "" {
		return "", "", errors.New("no cgroup2 file system is mounted: a machine cannot boot without one")
	}
	return unified, legacy, nil
}

// start starts c in the cgroup.
func (c *cgroup) start(cmd *exec.Cmd) error {
	dir, err := os.Open(c.dir)
	if err != nil {
		return err
	}
	defer dir.Close()
	cmd.SysProcAttr.UseCgroupFD, cmd.SysProcAttr.CgroupFD = true, int(dir.Fd())
	if c.legacy == "" {
		return cmd.Start()
	}
	// There is no way to be born into a legacy one; the shell waits for its
	// standard input before it does anything.
	hold, release, err := os.Pipe()
	if err != nil {
		return err
	}
	defer hold.Close()
	defer release.Close()
	cmd.Stdin = hold
	cmd.Args[2] = "read -r go\n" + cmd.Args[2]
	if err := cmd.Start(); err != nil {
		return err
	}
	err = os.WriteFile(filepath.Join(c.legacy, "cgroup.procs"), []byte(strconv.Itoa(cmd.Process.Pid)), 0)
	if err != nil {
		cmd.Process.Kill()
		return errors.Join(err, cmd.Wait())
	}
	_, err = release.WriteString("go\n")
	return err
}

// leader waits for the first process of the machine.
func (c *cgroup) leader(ctx context.Context, ended <-chan struct{}) (int, error) {
	for {
		var found int
		filepath.WalkDir(c.dir, func(p string, d fs.DirEntry, err error) error {
			if err != nil || d.Name() != "cgroup.procs" {
				return nil
			}
			text, _ := os.ReadFile(p)
			for _, f := range strings.Fields(string(text)) {
				// The launcher's namespace is one below ours, the machine's two.
				if pid, _ := strconv.Atoi(f); firstInNamespace(pid, 2) {
					found = pid
				}
			}
			return nil
		})
		if found != 0 {
			return found, nil
		}
		select {
		case <-ctx.Done():
			return 0, fmt.Errorf("the machine has no first process: %w", context.Cause(ctx))
		case <-ended:
			return 0, errors.New("the machine's launcher ended at once: see its console")
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// inside is the directory of the machine's cgroup unit.
func (c *cgroup) inside(unit string) string {
	return filepath.Join(c.root, "system.slice", unit)
}

// remove removes the cgroups, whose processes have been killed and are about
// to be gone.
func (c *cgroup) remove() error {
	var errs []error
	for _, top := range []string{c.dir, c.legacy} {
		if top == "" {
			continue
		}
		var err error
		for range 200 {
			if err = removeTree(top); err == nil {
				break
			}
			time.Sleep(25 * time.Millisecond)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func removeTree(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, e := range entries {
		if e.IsDir() {
			if err := removeTree(filepath.Join(dir, e.Name())); err != nil {
				return err
			}
		}
	}
	if err := syscall.Rmdir(dir); err != nil && !errors.Is(err, syscall.ENOENT) {
		return fmt.Errorf("remove the cgroup %s: %w", dir, err)
	}
	return nil
}
