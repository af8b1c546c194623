package debian

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// keepIndex is for how long an index that nobody asks for is kept: 60 MB each
// for a suite of Debian.
const keepIndex = 14 * 24 * time.Hour

// makeRoot makes a directory for one run of apt. The lock on it lives as long
// as this process, so that sweep can tell what a killed one left.
func makeRoot(dir string) (path string, done func(), err error) {
	if path, err = os.MkdirTemp(dir, "root-"); err != nil {
		return "", nil, fmt.Errorf("make apt's root: %w", err)
	}
	f, err := os.Open(path)
	if err == nil {
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	}
	// A sweep may hold the lock for a moment before it sees that the directory
	// is new; then the directory goes without, and is young enough to be left.
	if err != nil && !errors.Is(err, unix.EWOULDBLOCK) {
		os.RemoveAll(path)
		return "", nil, fmt.Errorf("make apt's root: %w", err)
	}
	return path, func() {
		os.RemoveAll(path)
		f.Close()
	}, nil
}

// sweep removes what killed processes left in dir, and indices that were not
// used for long. It is housekeeping: what cannot be removed stays.
func sweep(dir string) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return
	}
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		info, err := e.Info()
		if err != nil {
			continue
		}
		age := time.Since(info.ModTime())
		switch {
		case info.IsDir() && strings.HasPrefix(e.Name(), "root-"):
			if age > time.Minute {
				removeUnlocked(path)
			}
		case info.Mode().IsRegular() && strings.HasPrefix(e.Name(), "index-") && age > time.Hour,
			info.Mode().IsRegular() && age > keepIndex && len(e.Name()) >= 64:
			os.Remove(path)
		}
	}
}

func removeUnlocked(path string) {
	f, err := os.Open(path)
	if err != nil {
		return
	}
	defer f.Close()
	if unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) == nil {
		os.RemoveAll(path)
	}
}
