// Package debversion compares versions of Debian packages (deb-version(7)). It
// is pure.
package debversion

import (
	"cmp"
	"strings"
)

// Compare orders two versions as dpkg --compare-versions does: negative when a
// is earlier than b, 0 when they are equal, positive when a is later. A text
// that is no valid version is compared all the same; one whose epoch is not a
// number counts as having none.
func Compare(a, b string) int {
	ea, ua, ra := split(a)
	eb, ub, rb := split(b)
	return cmp.Or(part(ea, eb), part(ua, ub), part(ra, rb))
}

// split cuts a version into epoch, upstream version and revision. A missing
// epoch or revision is as good as 0, which an empty part equals.
func split(v string) (epoch, upstream, revision string) {
	if before, after, ok := strings.Cut(v, ":"); ok && strings.Trim(before, "0123456789") == "" {
		epoch, v = before, after
	}
	if i := strings.LastIndexByte(v, '-'); i >= 0 {
		v, revision = v[:i], v[i+1:]
	}
	return epoch, v, revision
}

// part compares runs of other characters and of digits in turn.
func part(a, b string) int {
	for a != "" || b != "" {
		for a != "" && !digit(a[0]) || b != "" && !digit(b[0]) {
			if c := cmp.Compare(weight(a), weight(b)); c != 0 {
				return c
			}
			a, b = a[1:], b[1:] // of equal weight and not both at an end or a digit: the same character
		}
		na, nb := number(&a), number(&b)
		if c := cmp.Or(cmp.Compare(len(na), len(nb)), strings.Compare(na, nb)); c != 0 {
			return c
		}
	}
	return 0
}

// weight is what the first character counts: a tilde before the end, the end
// and a digit before letters, and letters before everything else.
func weight(s string) int {
	switch {
	case s == "" || digit(s[0]):
		return 0
	case s[0] == '~':
		return -1
	case s[0] >= 'a' && s[0] <= 'z' || s[0] >= 'A' && s[0] <= 'Z':
		return int(s[0])
	}
	return int(s[0]) + 256
}

// number takes the digits that s begins with, without leading zeros: of such
// the longer one is the greater, however long they are.
func number(s *string) string {
	rest := strings.TrimLeft(*s, "0123456789")
	n := (*s)[:len(*s)-len(rest)]
	*s = rest
	return strings.TrimLeft(n, "0")
}

func digit(c byte) bool { return c >= '0' && c <= '9' }
