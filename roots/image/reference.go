package image

import (
	"fmt"
	"strings"

	"ninefold/roots/pkg"
)

// Bounds of a reference, in bytes.
const (
	maxReference = 255
	maxTag       = 128
)

// Reference names an image: a name, parts of which stand between slashes, and
// perhaps a tag or a digest. A reference without a tag stands for itself, not
// for a tag called latest.
//
//	gaming
//	steve/gaming:2026-11
//	registry.example:5000/steve/gaming:2026-11
//	steve/gaming@sha256:0123...
type Reference struct {
	// Name is the reference up to the tag, Tag what follows the colon; "" when
	// there is none.
	Name, Tag string
	// Digest is the image that is meant whatever the tag stands for; the zero
	// ID when the tag decides.
	Digest ID
}

// ParseReference reads a reference.
func ParseReference(s string) (Reference, error) {
	var r Reference
	name, digest, fixed := strings.Cut(s, "@")
	if fixed {
		hex, ok := strings.CutPrefix(digest, "sha256:")
		if !ok {
			return r, fmt.Errorf("reference %q: after @ stands sha256: and 64 hex digits", s)
		}
		var err error
		if r.Digest, err = pkg.ParseDigest(hex); err != nil {
			return r, fmt.Errorf("reference %q: %w", s, err)
		}
		if r.Digest.IsZero() {
			return r, fmt.Errorf("reference %q: no image has this digest", s)
		}
	}
	if len(name) > maxReference {
		return r, fmt.Errorf("reference %.40q...: it has %d bytes, at most %d are allowed", name, len(name), maxReference)
	}
	r.Name = name
	if i := strings.LastIndexByte(name, ':'); i > strings.LastIndexByte(name, '/') {
		r.Name, r.Tag = name[:i], name[i+1:]
		if !validTag(r.Tag) {
			return r, fmt.Errorf("reference %q: after the colon stands a tag: letters, digits, dot, dash and underscore, at most %d", s, maxTag)
		}
	}
	parts := strings.Split(r.Name, "/")
	for i, p := range parts {
		if host, port, ok := strings.Cut(p, ":"); ok && i == 0 && len(parts) > 1 && digits(port) {
			p = host
		}
		if !ValidName(p) {
			return r, fmt.Errorf("reference %q: %q is not a name: a-z, 0-9, dot, dash and underscore, beginning with a letter or digit", s, p)
		}
	}
	return r, nil
}

// String is what ParseReference reads.
func (r Reference) String() string {
	s := r.Tagged()
	if !r.Digest.IsZero() {
		s += "@sha256:" + r.Digest.String()
	}
	return s
}

// Tagged is the reference without a digest, as a store keeps it.
func (r Reference) Tagged() string {
	if r.Tag == "" {
		return r.Name
	}
	return r.Name + ":" + r.Tag
}

// ValidReference reports whether s can be given to an image: a reference
// without a digest.
func ValidReference(s string) bool {
	r, err := ParseReference(s)
	return err == nil && r.Digest.IsZero()
}

// Match reports whether a reference matches a pattern, in which * stands for
// any bytes but a slash, and ** for any bytes. A pattern without a colon
// after its last slash matches references with any tag, and without one.
func Match(pattern, reference string) bool {
	if strings.LastIndexByte(pattern, ':') <= strings.LastIndexByte(pattern, '/') && !strings.HasSuffix(pattern, "**") {
		if r, err := ParseReference(reference); err == nil {
			reference = r.Name
		}
	}
	return match(pattern, reference)
}

// ValidPattern reports whether Match can make sense of a pattern.
func ValidPattern(s string) bool {
	if s == "" || len(s) > maxReference || strings.Contains(s, "***") || strings.Count(s, "*") > 4 {
		return false
	}
	for _, c := range []byte(s) {
		alnum := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !alnum && !strings.ContainsRune("*._-/:", rune(c)) {
			return false
		}
	}
	return true
}

// match tries every length of each star; ValidPattern bounds their number.
func match(p, s string) bool {
	for p != "" && p[0] != '*' {
		if s == "" || s[0] != p[0] {
			return false
		}
		p, s = p[1:], s[1:]
	}
	if p == "" {
		return s == ""
	}
	any := strings.HasPrefix(p, "**")
	rest := strings.TrimLeft(p, "*")
	for i := 0; ; i++ {
		if match(rest, s[i:]) {
			return true
		}
		if i == len(s) || !any && s[i] == '/' {
			return false
		}
	}
}

func validTag(s string) bool {
	for i, c := range []byte(s) {
		word := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_'
		if !word && (i == 0 || c != '.' && c != '-') {
			return false
		}
	}
	return s != "" && len(s) <= maxTag
}

func digits(s string) bool {
	return s != "" && len(s) <= 5 && strings.Trim(s, "0123456789") == ""
}
