package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// enterCgroup moves this process into a cgroup of its own, below the one it is
// in, so that launchers such as systemd-nspawn make theirs there. leave moves it
// back and removes what is left. A machine without cgroup v2 keeps it where it is.
func enterCgroup() (leave func(), err error) {
	top := cgroup2()
	if top == "" {
		return func() {}, nil
	}
	data, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return nil, err
	}
	home := top
	for line := range strings.Lines(string(data)) {
		if p, ok := strings.CutPrefix(strings.TrimSpace(line), "0::"); ok {
			home = filepath.Join(top, p)
		}
	}
	own := filepath.Join(home, fmt.Sprintf("ninefold-bench-%d", os.Getpid()))
	if err := os.Mkdir(own, 0o755); err != nil {
		return nil, fmt.Errorf("make a cgroup for the bench: %w", err)
	}
	move := func(to string) error {
		return os.WriteFile(filepath.Join(to, "cgroup.procs"), []byte(strconv.Itoa(os.Getpid())), 0)
	}
	if err := move(own); err != nil {
		os.Remove(own)
		return nil, fmt.Errorf("enter the cgroup of the bench: %w", err)
	}
	return func() {
		move(home)
		removeCgroup(own)
	}, nil
}

// removeCgroup removes a cgroup and those below it. Only directories can be
// removed there, and only those without processes.
func removeCgroup(dir string) {
	var dirs []string
	filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			dirs = append(dirs, p)
		}
		return nil
	})
	for i := len(dirs) - 1; i >= 0; i-- {
		os.Remove(dirs[i])
	}
}

// cgroup2 is where cgroup v2 is mounted, or "".
func cgroup2() string {
	data, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(data)) {
		before, after, ok := strings.Cut(line, " - ")
		if f := strings.Fields(before); ok && len(f) > 4 && strings.HasPrefix(after, "cgroup2 ") {
			return f[4]
		}
	}
	return ""
}
