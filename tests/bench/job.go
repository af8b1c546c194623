package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// job is the directory tree that every contender composes its root from:
//
//	base, runtime   the lowers; base holds true and its libraries
//	merged, scratch where tools without overlays of their own find one
//	binds/…         home, user (writable), machine, tools (read-only)
//	floor           the compiled floor/floor.c
type job struct{ dir string }

func (j job) path(elem ...string) string {
	return filepath.Join(append([]string{j.dir}, elem...)...)
}

// The binds of the job: source below binds, target in the root.
var (
	writable = map[string]string{"home": "/home", "user": "/run/user"}
	readOnly = map[string]string{"machine": "/run/machine", "tools": "/run/tools"}
)

// newJob lays the job out in dir. floor is the compiled floor/floor.c.
func newJob(dir, floor string) (job, error) {
	j := job{dir}
	dirs := []string{
		"merged", "scratch", "binds/home", "binds/user", "binds/machine", "binds/tools", "runtime/usr/share/runtime",
	}
	for _, d := range strings.Fields("usr/bin usr/lib usr/lib64 usr/sbin etc proc dev sys tmp home root var mnt run/user run/machine run/tools run/ninefold/lib") {
		dirs = append(dirs, "base/"+d)
	}
	for _, d := range dirs {
		if err := os.MkdirAll(j.path(d), 0o755); err != nil {
			return j, err
		}
	}
	for _, l := range []string{"bin", "lib", "lib64", "sbin"} {
		if err := os.Symlink("usr/"+l, j.path("base", l)); err != nil {
			return j, err
		}
	}
	files := map[string]string{
		"base/etc/os-release": "ID=bench\n", "base/etc/passwd": "root:x:0:0:root:/root:/bin/sh\n", "base/etc/group": "root:x:0:\n",
		"runtime/usr/share/runtime/marker": "runtime\n",
	}
	for name, text := range files {
		if err := os.WriteFile(j.path(name), []byte(text), 0o644); err != nil {
			return j, err
		}
	}
	if err := os.Symlink("../../etc/os-release", j.path("base/usr/lib/os-release")); err != nil {
		return j, err
	}
	if err := j.program("/bin/true"); err != nil {
		return j, err
	}
	if err := copyFile(floor, j.path("floor")); err != nil {
		return j, fmt.Errorf("%w: make bench compiles it", err)
	}
	return j, copyFile(floor, j.path("base/usr/bin/pause-floor"))
}

// program copies a program of the host with its libraries into base. ldd runs
// it, which is safe for a program of the host itself.
func (j job) program(name string) error {
	out, err := exec.Command("ldd", name).Output()
	if err != nil {
		return fmt.Errorf("libraries of %s: %w", name, err)
	}
	files := []string{name}
	for _, f := range strings.Fields(string(out)) {
		if strings.HasPrefix(f, "/") {
			files = append(files, f)
		}
	}
	for _, f := range files {
		// Through the links /bin and /lib of base.
		if err := os.MkdirAll(j.path("base", filepath.Dir(f)), 0o755); err != nil && !errors.Is(err, os.ErrExist) {
			return err
		}
		if err := copyFile(f, j.path("base", f)); err != nil {
			return err
		}
	}
	return nil
}

func copyFile(from, to string) (err error) {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o755)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}
