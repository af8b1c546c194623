package inside

import (
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"ninefold/internal/regular"
	"ninefold/roots/compat"
	"ninefold/roots/contexts"
)

// Host describes the machine as a context would stand on it now.
func Host(now time.Time) contexts.Stands {
	s := contexts.Stands{At: now, Release: "unknown", Stamp: compat.Stamp("/")}
	s.Packages, _ = compat.Fingerprint("/") // a machine without dpkg has none
	var u unix.Utsname
	if unix.Uname(&u) == nil {
		s.Kernel = unix.ByteSliceToString(u.Release[:])
	}
	if b, err := regular.Read("/etc/os-release", 64<<10); err == nil {
		for line := range strings.Lines(string(b)) {
			if v, ok := strings.CutPrefix(strings.TrimSpace(line), "PRETTY_NAME="); ok {
				s.Release = strings.Trim(v, `"'`)
			}
		}
	}
	return s
}

// Moved reports whether the machine has changed since a context was begun. It
// costs a few stat calls where it has not.
func Moved(r contexts.Record) bool {
	return !r.Stands.Elsewhere() && r.Stands.Stamp != compat.Stamp("/") && !r.Stands.Same(Host(time.Time{}))
}
