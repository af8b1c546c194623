package identity

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
)

// Limits say which uids are people's.
type Limits struct {
	// Min and Max are the first and the last uid of a person (UID_MIN and
	// UID_MAX of login.defs(5)).
	Min, Max uint32
}

// Range are uids of a directory's people, both ends included.
type Range struct{ First, Last uint32 }

// ParseRange reads "FIRST-LAST".
func ParseRange(s string) (Range, error) {
	first, last, _ := strings.Cut(s, "-")
	a, err1 := strconv.ParseUint(first, 10, 32)
	b, err2 := strconv.ParseUint(last, 10, 32)
	if err1 != nil || err2 != nil || a == 0 || a > b || b == none {
		return Range{}, fmt.Errorf("%q is no range of uids; write FIRST-LAST, from 1 to %d", s, uint32(none-1))
	}
	return Range{uint32(a), uint32(b)}, nil
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

// ReadLimits reads login.defs; where it says nothing, people have 1000 to 60000.
func ReadLimits(name string) Limits {
	l := Limits{Min: 1000, Max: 60000}
	f, err := os.Open(name)
	if err != nil {
		return l
	}
	defer f.Close()
	for s := bufio.NewScanner(io.LimitReader(f, 1<<20)); s.Scan(); {
		w := strings.Fields(s.Text())
		if len(w) < 2 || w[0] != "UID_MIN" && w[0] != "UID_MAX" {
			continue
		}
		n, err := strconv.ParseUint(w[1], 0, 32)
		switch {
		case err != nil || n == 0: // root is no person here whatever the file says
		case w[0] == "UID_MIN":
			l.Min = uint32(n)
		default:
			l.Max = uint32(n)
		}
	}
	return l
}

// Enters reports whether uid may enter views: the uids of people that
// login.defs has, and those in more. System accounts, nobody's and systemd's
// never may.
func (l Limits) Enters(uid uint32, more []Range) bool {
	return l.Person(uid) && (uid <= l.Max ||
		slices.ContainsFunc(more, func(r Range) bool { return r.First <= uid && uid <= r.Last }))
}

// Person reports whether uid is no system account's. That has no upper end:
// nobody above Min is to be taken from an image.
func (l Limits) Person(uid uint32) bool {
	switch {
	case uid < l.Min, uid == nobody, uid == noneOf16Bits, uid == none:
		return false
	}
	return uid < dynamicFirst || uid > dynamicLast
}
