// Package mountinfo reads the kernel's tables of mounts (proc_pid_mountinfo(5)).
package mountinfo

import (
	"strconv"
	"strings"
)

// Mount is one line.
type Mount struct {
	ID     int `json:"id"`
	Parent int `json:"parent"`
	// Device is major:minor, Root the directory of the file system that is
	// seen at Point.
	Device string `json:"device"`
	Root   string `json:"root"`
	Point  string `json:"point"`
	// Options are the mount's own ("ro,nosuid"), Super the file system's.
	Options []string `json:"options"`
	Super   []string `json:"super,omitempty"`
	Type    string   `json:"type"`
	Source  string   `json:"source"`
}

// Parse reads a line, without its end; false for what is none.
func Parse(line string) (Mount, bool) {
	fields, rest, ok := strings.Cut(line, " - ")
	f, r := strings.Fields(fields), strings.Fields(rest)
	if !ok || len(f) < 6 || len(r) < 2 {
		return Mount{}, false
	}
	id, err1 := strconv.Atoi(f[0])
	parent, err2 := strconv.Atoi(f[1])
	if err1 != nil || err2 != nil {
		return Mount{}, false
	}
	m := Mount{ID: id, Parent: parent, Device: f[2], Root: Unescape(f[3]), Point: Unescape(f[4]),
		Options: strings.Split(f[5], ","), Type: r[0], Source: Unescape(r[1])}
	if len(r) > 2 {
		m.Super = strings.Split(r[2], ",")
	}
	return m, true
}

// Unescape undoes the kernel's octal escapes of blanks and backslashes.
func Unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if v, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(v))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
