package bus

import (
	"strings"

	"github.com/godbus/dbus/v5"
)

// label escapes an id for a path, as sd_bus_path_encode(3) does: every byte
// that is no letter and no digit, and a digit in front, as _xx.
func label(id string) string {
	const hex = "0123456789abcdef"
	if id == "" {
		return "_"
	}
	var b strings.Builder
	for i := range len(id) {
		c := id[i]
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || i > 0 && c >= '0' && c <= '9' {
			b.WriteByte(c)
			continue
		}
		b.Write([]byte{'_', hex[c>>4], hex[c&15]})
	}
	return b.String()
}

// unlabel is the inverse of label; ok is false for what label never makes.
func unlabel(s string) (id string, ok bool) {
	if s == "_" {
		return "", true
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '_' {
			b.WriteByte(s[i])
			continue
		}
		if i+2 >= len(s) {
			return "", false
		}
		hi, lo := strings.IndexByte("0123456789abcdef", s[i+1]), strings.IndexByte("0123456789abcdef", s[i+2])
		if hi < 0 || lo < 0 {
			return "", false
		}
		b.WriteByte(byte(hi<<4 | lo))
		i += 2
	}
	id = b.String()
	return id, label(id) == s
}

// ViewPath is where the view of an id is, and SessionPath the session.
func ViewPath(id string) dbus.ObjectPath { return ViewsPath + "/" + dbus.ObjectPath(label(id)) }

// SessionPath is where the session of an id is.
func SessionPath(id string) dbus.ObjectPath { return SessionsPath + "/" + dbus.ObjectPath(label(id)) }

// child returns the id of the object at path, if it is one directly below dir.
func child(dir, path dbus.ObjectPath) (string, bool) {
	rest, ok := strings.CutPrefix(string(path), string(dir)+"/")
	if !ok || strings.Contains(rest, "/") {
		return "", false
	}
	return unlabel(rest)
}

// text makes what somebody else wrote a string that may travel: D-Bus ends
// the connection of who sends bad UTF-8 or NUL.
func text(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}

func texts(in []string) []string {
	out := make([]string, 0, len(in))
	for _, s := range in {
		out = append(out, text(s))
	}
	return out
}
