package machine

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Set is what a kind of machine has beyond the usual one: a tree of its own in
// the cache, so that the others stay small.
type Set struct {
	Name     string
	Packages []string            // for every suite, without what they recommend
	More     map[string][]string // for one
	// Files are written before each boot, and Steps are lines of shell run
	// after it. They are not part of the tree.
	Files map[string]string
	Steps []string
}

func (s *Set) recipe(suite string) string {
	sum := sha256.Sum256(fmt.Appendln(nil, 1, recipe(suite), s.Packages, s.More[suite]))
	return hex.EncodeToString(sum[:4])
}

// TreeOf is Tree with a set on top of it; nil is none.
func TreeOf(ctx context.Context, suite string, s *Set) (string, error) {
	base, err := Tree(ctx, suite)
	if err != nil || s == nil {
		return base, err
	}
	return cached("machine-"+suite+"-"+s.Name+"-"+s.recipe(suite), func(making string) error {
		ctx, cancel := context.WithTimeout(ctx, 15*time.Minute)
		defer cancel()
		if err := host(ctx, "cp", "-a", "--reflink=auto", base, making); err != nil {
			return err
		}
		return s.furnish(ctx, suite, making)
	})
}

// furnish adds the set's packages by the tree's own apt. What it leaves in the
// tree goes again: a machine has no network.
func (s *Set) furnish(ctx context.Context, suite, tree string) (err error) {
	for name, text := range map[string]string{
		"usr/sbin/policy-rc.d": "#!/bin/sh\nexit 101\n", // nothing is started while it is installed
	} {
		if err := os.WriteFile(filepath.Join(tree, name), []byte(text), 0o755); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, os.Remove(filepath.Join(tree, name))) }()
	}
	resolv, err := os.ReadFile("/etc/resolv.conf")
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(tree, "etc/resolv.conf"), resolv, 0o644); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.Remove(filepath.Join(tree, "etc/resolv.conf"))) }()
	install := append([]string{tree, "apt-get", "install", "-qq", "-y", "--no-install-recommends", "-o", "Dpkg::Options::=--force-unsafe-io"}, s.Packages...)
	steps := [][]string{
		{tree, "apt-get", "update", "-qq"},
		append(install, s.More[suite]...),
		{tree, "sh", "-c", "apt-get clean; rm -rf /var/lib/apt/lists/*"},
	}
	for _, step := range steps {
		if err := host(ctx, "chroot", step...); err != nil {
			return err
		}
	}
	return nil
}

// write puts the set's files into the layer of a machine that is to boot.
func (s *Set) write(upper string) error {
	for name, text := range s.Files {
		to := filepath.Join(upper, name)
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return err
		}
		mode := os.FileMode(0o644)
		if strings.HasPrefix(text, "#!") {
			mode = 0o755
		}
		if err := os.WriteFile(to, []byte(text), mode); err != nil {
			return err
		}
	}
	return nil
}

// finish runs the set's steps in a booted machine.
func (s *Set) finish(ctx context.Context, m *Machine) error {
	for _, step := range s.Steps {
		if err := done(m.Run(ctx, "sh", "-ec", step)); err != nil {
			return err
		}
	}
	return nil
}
