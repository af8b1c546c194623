// Package desktop reads the session entries that greeters list, and writes
// those of profiles. It is pure.
//
// An entry is a file of the Desktop Entry Specification 1.5 in a directory
// called xsessions or wayland-sessions.
package desktop

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// MaxSize bounds an entry's file, in bytes.
const MaxSize = 64 << 10

const (
	maxText = 256 // bytes of a name that people read
	maxArgv = 32
)

// ErrEntry says that a file is no session entry, or one that is not to be shown.
var ErrEntry = errors.New("not a session entry")

// Type is the kind of display that a session brings up.
type Type string

// The types, by the names of their directories.
const (
	X11     Type = "x11"
	Wayland Type = "wayland"
)

// Types are all of them.
var Types = []Type{X11, Wayland}

// Dir is the name of the directory that holds entries of the type.
func (t Type) Dir() string {
	if t == X11 {
		return "xsessions"
	}
	return "wayland-sessions"
}

// Session is what an entry starts.
type Session struct {
	Type Type
	// ID is the file's name without ".desktop": letters, digits, ".", "_", "-";
	// at most 48 bytes.
	ID      string
	Name    string
	Comment string
	// Argv is the command, without field codes.
	Argv []string
	// Desktops are what $XDG_CURRENT_DESKTOP is made of.
	Desktops []string
	// Registers says that the session tells gdm itself when it is up.
	Registers bool
}

// Parse reads the entry that the file ID.desktop holds. What is hidden, or not
// made by this package's rules, is ErrEntry.
func Parse(t Type, id string, data []byte) (Session, error) {
	s := Session{Type: t, ID: id}
	bad := func(format string, args ...any) (Session, error) {
		return Session{}, fmt.Errorf("%w: %s: %s", ErrEntry, id, fmt.Sprintf(format, args...))
	}
	switch {
	case !isID(id):
		return bad("a name of letters, digits, dots, dashes and underscores is wanted")
	case len(data) > MaxSize || !utf8.Valid(data):
		return bad("more than %d bytes, or not UTF-8", MaxSize)
	}
	keys := group(string(data))
	if keys == nil {
		return bad("no group [Desktop Entry]")
	}
	if t := keys["Type"]; t != "" && t != "Application" && t != "XSession" {
		return bad("its type is %q", t)
	}
	if keys["Hidden"] == "true" || keys["NoDisplay"] == "true" {
		return bad("it is hidden")
	}
	s.Name, s.Comment = text(keys["Name"]), text(keys["Comment"])
	if s.Name == "" {
		s.Name = id
	}
	s.Registers = keys["X-GDM-SessionRegisters"] == "true"
	for d := range strings.SplitSeq(keys["DesktopNames"], ";") {
		if d = strings.TrimSpace(d); isID(d) && len(s.Desktops) < 8 {
			s.Desktops = append(s.Desktops, d)
		}
	}
	argv, err := splitExec(unescape(keys["Exec"]))
	if err != nil {
		return bad("%s", err)
	}
	s.Argv = argv
	return s, nil
}

// group returns the keys of the group [Desktop Entry], untranslated; the first
// of two counts. It is nil when there is no such group.
func group(data string) map[string]string {
	var keys map[string]string
	inside := false
	for line := range strings.Lines(data) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "[") {
			if inside {
				break
			}
			if inside = line == "[Desktop Entry]"; inside {
				keys = map[string]string{}
			}
			continue
		}
		name, value, ok := strings.Cut(line, "=")
		if name = strings.TrimSpace(name); !inside || !ok || strings.HasPrefix(line, "#") || keys[name] != "" {
			continue
		}
		keys[name] = strings.TrimSpace(value)
	}
	return keys
}

// isID reports whether s can be part of a file's name, of a variable and of a
// list without being quoted.
func isID(s string) bool {
	if s == "" || len(s) > 48 || strings.HasPrefix(s, ".") || strings.HasPrefix(s, "-") {
		return false
	}
	for _, c := range []byte(s) {
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '.' || c == '_' || c == '-') {
			return false
		}
	}
	return true
}

// text is a line for people: without control characters, and not too long.
func text(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 || r == '\u2028' || r == '\u2029' {
			return -1
		}
		return r
	}, unescape(s))
	for len(s) > maxText {
		_, n := utf8.DecodeLastRuneInString(s)
		s = s[:len(s)-n]
	}
	return strings.TrimSpace(s)
}

// unescape is for the values of type string.
func unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	return strings.NewReplacer(`\\`, `\`, `\s`, " ", `\n`, "\n", `\t`, "\t", `\r`, "\r").Replace(s)
}
