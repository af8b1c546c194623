package debian

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"ninefold/roots/debian/deb822"
	"ninefold/roots/pkg"
)

// clockSkew is by how much a release may seem to come from the future.
const clockSkew = 24 * time.Hour

// Release is what an archive says about one suite, verified.
type Release struct {
	Suite, Codename string
	Date            time.Time
	ValidUntil      time.Time // zero: for ever
	ByHash          bool
	// SignedBy are the fingerprints of the keys whose signature held.
	SignedBy []string
	files    map[string]content
}

// content is the promised size and hash of a file.
type content struct {
	size   int64
	sha256 pkg.Digest
}

// VerifyRelease reads an InRelease file of the given suite and believes it
// only when keys signed it, now lies within its validity (its end is not
// looked at with allowExpired) and suite is its Suite or Codename.
func VerifyRelease(file []byte, suite string, keys *Keyring, now time.Time, allowExpired bool) (*Release, error) {
	text, signedBy, err := keys.verify(file, now)
	if err != nil {
		return nil, err
	}
	r, err := parseRelease(text)
	if err != nil {
		return nil, err
	}
	r.SignedBy = signedBy
	if suite != r.Suite && suite != r.Codename {
		return nil, fmt.Errorf("%w: asked for %s, the archive says Suite %s, Codename %s", ErrWrongSuite, suite, r.Suite, r.Codename)
	}
	if r.Date.After(now.Add(clockSkew)) {
		return nil, fmt.Errorf("%w: it is dated %s, in the future; check this machine's clock", ErrExpired, r.Date.Format(time.DateTime))
	}
	if !allowExpired && !r.ValidUntil.IsZero() && now.After(r.ValidUntil) {
		return nil, fmt.Errorf("%w: it expired %s; take another mirror, or allow_expired = true in [source] for an archive of the past", ErrExpired, r.ValidUntil.Format(time.DateTime))
	}
	return r, nil
}

func parseRelease(text string) (*Release, error) {
	p, err := deb822.NewReader(text).Next()
	if err != nil {
		return nil, fmt.Errorf("release file: %w", err)
	}
	r := &Release{
		Suite: p.Get("Suite"), Codename: p.Get("Codename"),
		ByHash: strings.EqualFold(p.Get("Acquire-By-Hash"), "yes"),
		files:  map[string]content{},
	}
	if r.Date, err = parseDate(p.Get("Date")); err != nil {
		return nil, fmt.Errorf("release file: Date: %w", err)
	}
	if v := p.Get("Valid-Until"); v != "" {
		if r.ValidUntil, err = parseDate(v); err != nil {
			return nil, fmt.Errorf("release file: Valid-Until: %w", err)
		}
	}
	for _, line := range deb822.Lines(p.Get("SHA256")) {
		f := strings.Fields(line)
		if len(f) != 3 {
			return nil, fmt.Errorf("release file: SHA256: %w: %q", deb822.ErrSyntax, line)
		}
		c, err := parseContent(f[1], f[0])
		if err != nil {
			return nil, fmt.Errorf("release file: %s: %w", f[2], err)
		}
		r.files[f[2]] = c
	}
	if len(r.files) == 0 {
		return nil, fmt.Errorf("release file: %w: it lists no SHA256", deb822.ErrSyntax)
	}
	return r, nil
}

func parseContent(size, sum string) (c content, err error) {
	if c.size, err = strconv.ParseInt(size, 10, 64); err != nil || c.size < 0 {
		return c, fmt.Errorf("%w: size %q", deb822.ErrSyntax, size)
	}
	if c.sha256, err = pkg.ParseDigest(sum); err != nil {
		return c, fmt.Errorf("%w: %w", deb822.ErrSyntax, err)
	}
	return c, nil
}

// parseDate reads the forms of RFC 5322 that archives write.
func parseDate(text string) (time.Time, error) {
	for _, layout := range []string{time.RFC1123, time.RFC1123Z, "Mon, _2 Jan 2006 15:04:05 MST", "Mon, _2 Jan 2006 15:04:05 -0700"} {
		// A zone by name has no offset unless it is UTC, so no other is taken.
		if t, err := time.Parse(layout, text); err == nil && (t.Location() == time.UTC || strings.HasSuffix(layout, "-0700") || slices.Contains([]string{"UTC", "GMT", "Z"}, t.Location().String())) {
			return t.UTC(), nil
		}
	}
	return time.Time{}, fmt.Errorf("%w: date %q", deb822.ErrSyntax, text)
}

// index returns the name and content of the package index of a component: the
// smallest that is quick to unpack. ok is false when the suite has none.
func (r *Release) index(component, arch string) (name string, packed, plain content, ok bool) {
	base := component + "/binary-" + arch + "/Packages"
	plain, ok = r.files[base]
	if !ok {
		return "", packed, plain, false
	}
	for _, ext := range []string{".gz", ".xz", ""} {
		if packed, ok = r.files[base+ext]; ok {
			return base + ext, packed, plain, true
		}
	}
	return "", packed, plain, false
}
