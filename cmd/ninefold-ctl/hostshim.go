package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"ninefold/cmd/internal/exit"
	"ninefold/cmd/internal/host"
	"ninefold/cmd/internal/session"
	"ninefold/namespaces/plan"
)

// makeShim makes a command of that name that runs the host's: a link in
// ~/.local/bin to the program that every session has, which goes by the name it
// is called by. Where there is no such program, on the host itself, the link
// leads nowhere and a shell goes on looking.
func makeShim(io session.Stdio, name string) error {
	home, err := os.UserHomeDir()
	if err != nil {
		return fmt.Errorf("host --shim: %w", err)
	}
	if _, ok, _ := host.Asked([]string{name}); !ok {
		return exit.Usagef("", "host --shim: %s is a command of Ninefold's", name)
	}
	dir := filepath.Join(home, ".local/bin")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("host --shim: %w", err)
	}
	const target = plan.LibDir + "/sessionctl"
	link := filepath.Join(dir, name)
	err = os.Symlink(target, link)
	if errors.Is(err, fs.ErrExist) {
		if text, rerr := os.Readlink(link); rerr == nil && text == target {
			err = nil
		} else {
			return &exit.Error{Code: exit.Failed, Hint: "remove it first, if it is not needed", Err: fmt.Errorf("host --shim: %s is there already", link)}
		}
	}
	if err != nil {
		return fmt.Errorf("host --shim: %w", err)
	}
	fmt.Fprintln(io.Out, link)
	if !slices.Contains(filepath.SplitList(os.Getenv("PATH")), dir) {
		fmt.Fprintf(io.Err, "sessionctl: %s is not in PATH here\n", dir)
	}
	return nil
}
