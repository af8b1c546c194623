package machine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// InsideDeb names the variable that names the package where there is no checkout to make it of.
const InsideDeb = "NINEFOLD_DEB"

var made struct {
	sync.Mutex
	deb map[string]string // by the top of the checkout
}

// Package makes the .deb of what `make build` left in top's bin/, once per
// process, and returns its name.
func Package(ctx context.Context, top string) (string, error) {
	if deb := os.Getenv(InsideDeb); deb != "" {
		return deb, nil
	}
	made.Lock()
	defer made.Unlock()
	if deb := made.deb[top]; deb != "" {
		return deb, nil
	}
	dist := filepath.Join(cacheDir(), "dist")
	if err := os.MkdirAll(dist, 0o755); err != nil {
		return "", err
	}
	// One at a time: it is staged in the checkout. Another process finds the
	// same file, or replaces it by a rename.
	lock, err := os.Create(dist + ".lock")
	if err != nil {
		return "", err
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return "", fmt.Errorf("lock %s: %w", lock.Name(), err)
	}
	old, _ := filepath.Glob(filepath.Join(dist, "*.deb"))
	for _, name := range old {
		if info, err := os.Stat(name); err == nil && time.Since(info.ModTime()) > time.Hour {
			os.Remove(name)
		}
	}
	c := exec.CommandContext(ctx, "scripts/package", "deb")
	c.Dir, c.Env = top, append(os.Environ(), "DIST="+dist)
	var stderr bytes.Buffer
	c.Stderr = &stderr
	out, err := c.Output()
	if err != nil {
		return "", fmt.Errorf("scripts/package deb: %w\n%s", err, tail(stderr.Bytes()))
	}
	deb := strings.TrimSpace(string(out))
	if made.deb == nil {
		made.deb = map[string]string{}
	}
	made.deb[top] = deb
	return deb, nil
}

// Install installs the Ninefold of the checkout at top, as its package.
func (m *Machine) Install(ctx context.Context, top string) error {
	deb, err := Package(ctx, top)
	if err != nil {
		return err
	}
	return m.InstallDeb(ctx, deb)
}

// InstallDeb installs a package of the host's.
func (m *Machine) InstallDeb(ctx context.Context, deb string) error {
	const to = "/run/install.deb"
	if err := m.CopyIn(ctx, deb, to, 0o644); err != nil {
		return err
	}
	r := m.Run(ctx, "env", "DEBIAN_FRONTEND=noninteractive", "dpkg", "--install", to)
	return errors.Join(done(r), done(m.Run(ctx, "rm", to)))
}
