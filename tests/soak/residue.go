package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// sight is what of the machine a session could leave something in.
type sight struct {
	mounts     map[string]bool // lines of the host's mount table, of the kinds that sessions have
	cgroups    int             // of Ninefold's
	namespaces map[string]bool // mount namespaces of live processes on an overlay
	slabKiB    int64
}

// sessionMount matches what a session mounts; other programs mount, too.
var sessionMount = regexp.MustCompile(` - (overlay|erofs|tmpfs|devpts|proc|mqueue) |ninefold`)

func look() (s sight, err error) {
	mounts, err := os.ReadFile("/proc/1/mountinfo")
	if err != nil {
		return s, err
	}
	s.mounts = map[string]bool{}
	for line := range strings.Lines(string(mounts)) {
		if sessionMount.MatchString(line) {
			s.mounts[line] = true
		}
	}
	filepath.WalkDir("/sys/fs/cgroup", func(p string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && strings.Contains(d.Name(), "ninefold") {
			s.cgroups++
		}
		return nil
	})
	s.namespaces = map[string]bool{}
	links, _ := filepath.Glob("/proc/[0-9]*/ns/mnt")
	for _, l := range links {
		// A process that ends in this moment is no surprise. What runs on
		// another root than an overlay is no session of ours.
		var root unix.Statfs_t
		ns, err := os.Readlink(l)
		if err == nil && unix.Statfs(filepath.Join(filepath.Dir(filepath.Dir(l)), "root"), &root) == nil && root.Type == unix.OVERLAYFS_SUPER_MAGIC {
			s.namespaces[ns] = true
		}
	}
	info, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return s, err
	}
	for line := range strings.Lines(string(info)) {
		if rest, ok := strings.CutPrefix(line, "Slab:"); ok {
			s.slabKiB, _ = strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
		}
	}
	return s, nil
}

// clean waits until the machine looks as before and the state directory holds
// nothing temporary, and says what is left when that does not come to pass:
// the kernel ends killed sessions in its own time.
func (w *world) clean(before sight) error {
	var err error
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		if err = w.residue(before); err == nil {
			return nil
		}
	}
	return err
}

func (w *world) residue(before sight) error {
	now, err := look()
	if err != nil {
		return err
	}
	var errs []error
	for line := range now.mounts {
		if !before.mounts[line] {
			errs = append(errs, fmt.Errorf("the host's mount table gained: %s", strings.TrimSpace(line)))
		}
	}
	if now.cgroups > before.cgroups {
		errs = append(errs, fmt.Errorf("%d more cgroups", now.cgroups-before.cgroups))
	}
	for ns := range now.namespaces {
		if !before.namespaces[ns] {
			errs = append(errs, fmt.Errorf("processes left in %s: %s", ns, processesIn(ns)))
		}
	}
	loops, _ := filepath.Glob("/sys/block/loop*/loop/backing_file")
	for _, l := range loops {
		if file, err := os.ReadFile(l); err == nil && bytes.HasPrefix(file, []byte(w.dir)) {
			errs = append(errs, fmt.Errorf("loop device left on %s", bytes.TrimSpace(file)))
		}
	}
	return errors.Join(errs...)
}

func processesIn(ns string) string {
	var out []string
	links, _ := filepath.Glob("/proc/[0-9]*/ns/mnt")
	for _, l := range links {
		if got, err := os.Readlink(l); err != nil || got != ns {
			continue
		}
		dir := filepath.Dir(filepath.Dir(l))
		cmdline, _ := os.ReadFile(filepath.Join(dir, "cmdline"))
		out = append(out, filepath.Base(dir)+" "+string(bytes.ReplaceAll(cmdline, []byte{0}, []byte(" "))))
	}
	return strings.Join(out, "; ")
}
