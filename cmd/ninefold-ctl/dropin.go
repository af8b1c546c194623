package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
)

// dropInName is the file in UNIT.d that puts a unit into a view.
const dropInName = "ninefold.conf"

// execLine is one ExecStart= as the user manager has it (a(sasasttttuii)).
type execLine struct {
	Path  string
	Argv  []string
	Flags []string
	// When it ran last, and how that ended.
	Start, StartMonotonic, Exit, ExitMonotonic uint64
	PID                                        uint32
	Code, Status                               int32
}

var errUnit = errors.New("the unit cannot be in a view")

// dropIn is the text that has commands run through enter in a profile. A
// command that does so already is not wrapped twice.
func dropIn(enter, profile string, commands []execLine) (string, error) {
	if len(commands) == 0 {
		return "", fmt.Errorf("%w: it has no ExecStart=", errUnit)
	}
	var b strings.Builder
	b.WriteString("# Written by sessionctl view; sessionctl view UNIT --remove takes it away.\n[Service]\nExecStart=\n")
	for _, c := range commands {
		argv, path := c.Argv, c.Path
		if end := slices.Index(argv, "--"); filepath.Base(path) == "ninefold-enter" && end > 0 && end+1 < len(argv) {
			argv, path = argv[end+1:], argv[end+1]
		}
		if len(argv) == 0 || argv[0] != path {
			return "", fmt.Errorf("%w: its program goes by another name than its file's (@ in ExecStart=)", errUnit)
		}
		if !strings.HasPrefix(path, "/") {
			return "", fmt.Errorf("%w: ExecStart= does not name %s by its whole path", errUnit, path)
		}
		prefix := ""
		for _, f := range c.Flags {
			mark := map[string]string{"ignore-failure": "-", "no-env-expand": ":"}[f]
			if mark == "" {
				return "", fmt.Errorf("%w: ExecStart= says %s", errUnit, f)
			}
			prefix += mark
		}
		b.WriteString("ExecStart=" + prefix + quoteUnit(enter) + " session -p " + quoteUnit(profile) + " --")
		for _, a := range argv {
			b.WriteString(" " + quoteUnit(a))
		}
		b.WriteString("\n")
	}
	return b.String(), nil
}

// quoteUnit quotes a word of a unit file. The manager has resolved specifiers
// already, and resolves variables when it executes (systemd.service(5)).
func quoteUnit(s string) string {
	s = strings.ReplaceAll(s, "%", "%%")
	if s != "" && s != ";" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/.,_-+=:@%${}~") == "" {
		return s
	}
	var b strings.Builder
	b.WriteByte('"')
	for _, c := range []byte(s) {
		switch {
		case c == '"' || c == '\\':
			b.WriteString(`\` + string(rune(c)))
		case c < ' ' || c == 0x7f:
			fmt.Fprintf(&b, `\x%02x`, c)
		default:
			b.WriteByte(c)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// isUnit reports whether s is the name of one service, with its suffix.
func isUnit(s string) bool {
	stem, ok := strings.CutSuffix(s, ".service")
	return ok && stem != "" && len(s) < 256 && !strings.HasSuffix(stem, "@") && stem[0] != '.' && stem[0] != '-' &&
		strings.Trim(stem, `abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:-_.\@`) == ""
}
