package machine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
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
	if err := os.RemoveAll(dist); err != nil {
		return "", err
	}
	c := exec.CommandContext(ctx, "scripts/package", "deb")
	c.Dir, c.Env = top, append(os.Environ(), "DIST="+dist)
	if out, err := c.CombinedOutput(); err != nil {
		return "", fmt.Errorf("scripts/package deb: %w\n%s", err, tail(out))
	}
	found, _ := filepath.Glob(filepath.Join(dist, "*.deb"))
	if len(found) != 1 {
		return "", fmt.Errorf("want one package in %s, have %q", dist, found)
	}
	if made.deb == nil {
		made.deb = map[string]string{}
	}
	made.deb[top] = found[0]
	return found[0], nil
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
