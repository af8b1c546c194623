// Package inventory says what is inside images: which of them have a package
// or a file, and a bill of materials of one.
package inventory

import (
	"errors"
	"fmt"
	"strings"

	"ninefold/roots/debversion"
)

// ErrQuery is wrapped by every error about the text of a query.
var ErrQuery = errors.New("malformed query")

// Query asks for a package by its name, and perhaps its version.
type Query struct {
	Name string
	// Op is "=", "<", "<=", ">" or ">=", for Debian's order of versions; "" asks
	// for any version, and Version is "" then.
	Op, Version string
}

// ParseQuery reads "openssl", "openssl<3.0.15" and the like; white space around
// the operator does not count.
func ParseQuery(text string) (Query, error) {
	bad := func(why string) (Query, error) {
		return Query{}, fmt.Errorf("%w %q: %s", ErrQuery, text, why)
	}
	q := Query{Name: strings.TrimSpace(text)}
	at := strings.IndexAny(text, "<=>")
	if at >= 0 {
		rest := strings.TrimLeft(text[at:], "<=>")
		q = Query{Name: strings.TrimSpace(text[:at]), Op: text[at : len(text)-len(rest)], Version: strings.TrimSpace(rest)}
		switch q.Op {
		case "=", "<", "<=", ">", ">=":
		default:
			return bad(q.Op + " is not one of =, <, <=, > and >=")
		}
		if q.Version == "" {
			return bad("no version follows " + q.Op)
		}
		if !plain(q.Version, "+-.:~") {
			return bad("a version is made of letters, digits and .+-:~")
		}
	}
	if q.Name == "" || !plain(q.Name, "+-._") {
		return bad("a package's name is made of letters, digits and +-._")
	}
	return q, nil
}

// plain reports whether s is made of ASCII letters, digits and what else is
// allowed.
func plain(s, others string) bool {
	for _, c := range []byte(s) {
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte(others, c) >= 0) {
			return false
		}
	}
	return true
}

// Matches reports whether the query asks for that package.
func (q Query) Matches(name, version string) bool {
	if name != q.Name {
		return false
	}
	c := debversion.Compare(version, q.Version)
	switch q.Op {
	case "=":
		return c == 0
	case "<":
		return c < 0
	case "<=":
		return c <= 0
	case ">":
		return c > 0
	case ">=":
		return c >= 0
	}
	return true
}
