package main

import (
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"regexp"
	"strings"

	"ninefold/cmd/internal/exit"
	"ninefold/cmd/internal/host"
)

// scheme begins a URL (RFC 3986).
var scheme = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9+.-]*:`)

// open is host-open: the host's xdg-open as the caller, for a URL, or for a
// file that is the same one there.
func open(args []string) (host.Options, error) {
	if len(args) > 0 && args[0] == "--" {
		args = args[1:]
	}
	if len(args) != 1 || args[0] == "" || strings.HasPrefix(args[0], "-") {
		return host.Options{}, exit.Usagef("usage: host-open URL|FILE", "host-open: one URL or file is opened at a time")
	}
	self, err := user.Current()
	if err != nil {
		return host.Options{}, fmt.Errorf("host-open: %w", err)
	}
	o := host.Options{User: self.Username, NoTTY: true, Command: []string{"xdg-open", args[0]}}
	if _, err := os.Lstat(args[0]); err != nil {
		if scheme.MatchString(args[0]) {
			return o, nil
		}
		return o, fmt.Errorf("host-open: %w", err)
	}
	name, err := filepath.Abs(args[0])
	if err == nil {
		name, err = filepath.EvalSymlinks(name)
	}
	if err != nil {
		return o, fmt.Errorf("host-open: %w", err)
	}
	o.Command[1], o.File = name, 1
	return o, nil
}
