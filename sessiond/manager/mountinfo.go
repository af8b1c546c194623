package manager

import (
	"strconv"
	"strings"

	"ninefold/namespaces/plan"
)

// MountPoint is one line of mountinfo (proc_pid_mountinfo(5)).
type MountPoint struct {
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

func parseMount(line string) (MountPoint, bool) {
	fields, rest, ok := strings.Cut(line, " - ")
	f, r := strings.Fields(fields), strings.Fields(rest)
	if !ok || len(f) < 6 || len(r) < 2 {
		return MountPoint{}, false
	}
	id, err1 := strconv.Atoi(f[0])
	parent, err2 := strconv.Atoi(f[1])
	if err1 != nil || err2 != nil {
		return MountPoint{}, false
	}
	m := MountPoint{ID: id, Parent: parent, Device: f[2], Root: unescape(f[3]), Point: unescape(f[4]),
		Options: strings.Split(f[5], ","), Type: r[0], Source: unescape(r[1])}
	if len(r) > 2 {
		m.Super = strings.Split(r[2], ",")
	}
	return m, true
}

// flags adds to f what the mount forbids.
func (m MountPoint) flags(f plan.Flags) plan.Flags {
	for _, o := range m.Options {
		switch o {
		case "nosuid":
			f.NoSuid = true
		case "nodev":
			f.NoDev = true
		case "noexec":
			f.NoExec = true
		}
	}
	return f
}

// unescape undoes the kernel's octal escapes of blanks and backslashes.
func unescape(s string) string {
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
