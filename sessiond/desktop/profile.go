package desktop

import (
	"fmt"
	"strings"
)

// Starter is the program that the entries of profiles begin with, where the
// package puts it.
const Starter = "/usr/lib/ninefold/ninefold-session"

const (
	prefix    = "ninefold-"
	suffix    = ".desktop"
	mark      = "X-Ninefold-Profile"
	separator = "+" // in no profile's name
)

// Entry is a session of a profile: the desktop of its root.
type Entry struct {
	Profile string
	Session Session
}

// Key is the name by which greeters know e, and which they put into the
// session's environment: "ninefold-dev+xfce".
func (e Entry) Key() string { return prefix + e.Profile + separator + e.Session.ID }

// File is the name of e's file.
func (e Entry) File() string { return e.Key() + suffix }

// ProfileOf returns the profile that a choice asks for: what of a key follows
// "ninefold-", with or without the session.
func ProfileOf(choice string) string {
	name, _, _ := strings.Cut(choice, separator)
	return name
}

// ChoiceOf returns what of the name of a session entry asks for a profile; "" if
// it is none of ours.
func ChoiceOf(key string) string {
	choice, ok := strings.CutPrefix(strings.TrimSuffix(key, suffix), prefix)
	if !ok {
		return ""
	}
	return choice
}

// Text is what the file of e holds.
func (e Entry) Text() string {
	s := e.Session
	var b strings.Builder
	line := func(key, value string) {
		if value != "" {
			fmt.Fprintf(&b, "%s=%s\n", key, strings.ReplaceAll(value, `\`, `\\`))
		}
	}
	b.WriteString("# Made by sessiond for a profile, and made anew: changes are lost.\n[Desktop Entry]\n")
	line("Type", "Application")
	line("Name", fmt.Sprintf("%s (profile %s)", s.Name, e.Profile))
	line("Comment", s.Comment)
	line("TryExec", Starter)
	line("Exec", strings.Join(append([]string{Starter, string(s.Type), e.Profile + separator + s.ID}, s.Argv...), " "))
	if len(s.Desktops) > 0 {
		line("DesktopNames", strings.Join(s.Desktops, ";")+";")
	}
	if s.Registers {
		line("X-GDM-SessionRegisters", "true")
	}
	line(mark, e.Profile)
	return b.String()
}

// Ours reports whether a file of that name and content was made by Text.
func Ours(name string, data []byte) bool {
	return strings.HasPrefix(name, prefix) && strings.HasSuffix(name, suffix) && group(string(data))[mark] != ""
}
