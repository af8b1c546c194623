package identity

import (
	"bufio"
	"io"
	"os"
	"strconv"
	"strings"
)

// Limits say which uids are people's.
type Limits struct {
	// Min is the first uid of a person (UID_MIN of login.defs(5)).
	Min uint32
}

// The uids above Min that are nobody's to log in with: systemd's dynamic
// users, nobody, and the two values that stand for none.
const (
	dynamicFirst, dynamicLast = 61184, 65519
	nobody                    = 65534
	noneOf16Bits              = 65535
	none                      = 1<<32 - 1
)

// LimitsFile is where the machine's limits stand.
const LimitsFile = "/etc/login.defs"

// ReadLimits reads login.defs; where it says nothing, 1000 is the first.
func ReadLimits(name string) Limits {
	l := Limits{Min: 1000}
	f, err := os.Open(name)
	if err != nil {
		return l
	}
	defer f.Close()
	for s := bufio.NewScanner(io.LimitReader(f, 1<<20)); s.Scan(); {
		w := strings.Fields(s.Text())
		if len(w) < 2 || w[0] != "UID_MIN" {
			continue
		}
		// Never below 1: root is no person here whatever the file says.
		if n, err := strconv.ParseUint(w[1], 0, 32); err == nil && n > 0 {
			l.Min = uint32(n)
		}
	}
	return l
}

// Person reports whether uid may enter views at all.
func (l Limits) Person(uid uint32) bool {
	switch {
	case uid < l.Min, uid == nobody, uid == noneOf16Bits, uid == none:
		return false
	}
	return uid < dynamicFirst || uid > dynamicLast
}
