package machine

import (
	"context"
	"fmt"
	"os"
	"path"
	"strings"
)

// CopyIn copies a file of the host to the machine's path to, with mode and
// root as owner; directories above it are made.
func (m *Machine) CopyIn(ctx context.Context, from, to string, mode os.FileMode) error {
	f, err := os.Open(from)
	if err != nil {
		return err
	}
	defer f.Close()
	return done(m.Input(ctx, f, "install", "-D", "-m", fmt.Sprintf("%o", mode), "/dev/stdin", to))
}

// Write writes a file of the machine, which root owns.
func (m *Machine) Write(ctx context.Context, name, text string) error {
	if r := m.Run(ctx, "mkdir", "-p", path.Dir(name)); !r.OK() {
		return done(r)
	}
	return done(m.Input(ctx, strings.NewReader(text), "dd", "status=none", "of="+name))
}

// Journal returns what a unit wrote to the machine's log; all of it for "".
func (m *Machine) Journal(ctx context.Context, unit string) (string, error) {
	args := []string{"journalctl", "--no-pager", "--output=short-precise", "--boot"}
	if unit != "" {
		args = append(args, "--unit", unit)
	}
	r := m.Run(ctx, args...)
	return r.Stdout, done(r)
}

func done(r Result) error {
	if !r.OK() {
		return fmt.Errorf("%s", r)
	}
	return nil
}
