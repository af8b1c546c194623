package requires

import (
	"fmt"
	"regexp"
	"strings"
)

// Range is what a version has to hold, all of it.
type Range []bound

type bound struct {
	op      string
	version string
}

var (
	boundRule   = regexp.MustCompile(`^(=|<=|>=|<|>)\s*([0-9]+(\.[0-9]+)*)$`)
	numbersRule = regexp.MustCompile(`^[0-9]+(\.[0-9]+)*`)
)

func parseRange(text string) (Range, error) {
	var r Range
	for part := range strings.SplitSeq(text, ",") {
		m := boundRule.FindStringSubmatch(strings.TrimSpace(part))
		if m == nil || len(text) > maxText {
			return nil, fmt.Errorf("%q is not a range of versions, such as \">= 6.6, < 7\" or \"= 550.54.14\"", text)
		}
		r = append(r, bound{m[1], m[2]})
	}
	return r, nil
}

// Holds reports whether a version is in the range. Of a version only the
// numbers it begins with count, "6.12.6" of "6.12.6-amd64", and what stands in the
// range is compared as far as it goes: "= 6.12" and "<= 6.12" hold for 6.12.6.
// A version that begins with no number is in no range.
func (r Range) Holds(version string) bool {
	numbers := numbersRule.FindString(version)
	for _, b := range r {
		c := compare(numbers, b.version)
		ok := false
		switch b.op {
		case "=":
			ok = c == 0
		case "<":
			ok = c < 0
		case "<=":
			ok = c <= 0
		case ">":
			ok = c > 0
		case ">=":
			ok = c >= 0
		}
		if !ok || numbers == "" {
			return false
		}
	}
	return true
}

// compare compares as many numbers as the bound has; missing ones of the
// version are 0.
func compare(version, bound string) int {
	have := strings.Split(version, ".")
	for i, part := range strings.Split(bound, ".") {
		h := "0"
		if i < len(have) {
			h = have[i]
		}
		if c := number(h, part); c != 0 {
			return c
		}
	}
	return 0
}

// number compares digits of any length.
func number(a, b string) int {
	a, b = strings.TrimLeft(a, "0"), strings.TrimLeft(b, "0")
	if len(a) != len(b) {
		return len(a) - len(b)
	}
	return strings.Compare(a, b)
}

// String is the range as it is written.
func (r Range) String() string {
	parts := make([]string, len(r))
	for i, b := range r {
		parts[i] = b.op + " " + b.version
	}
	return strings.Join(parts, ", ")
}
