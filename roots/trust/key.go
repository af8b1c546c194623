package trust

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"ninefold/internal/tomlfile"
	"ninefold/roots/image"
	"ninefold/roots/sign"
)

// The kinds of things that a key may sign.
const (
	Packages = "packages"
	Images   = "images"
	Tags     = "tags"
)

var kinds = []string{Packages, Images, Tags}

// Key is a key that root trusts, as trust.d/NAME.toml says.
type Key struct {
	// Name is the file's name without .toml; it names the key in trust.toml.
	Name string
	File string
	// Public is the key.
	Public *sign.Public
	// Scopes are patterns (image.Match) of the references that it may sign.
	Scopes []string
	// Kinds are what it may sign; never empty.
	Kinds []string
	// NotBefore and NotAfter bound the time in which its signatures count;
	// zero is no bound.
	NotBefore, NotAfter time.Time
	// Revoked is since when it counts no more by revoked.toml; zero is never.
	Revoked time.Time
	// Reason is why it was revoked.
	Reason string
}

// keyFile is trust.d/NAME.toml.
type keyFile struct {
	Version   int      `toml:"version"`
	Public    string   `toml:"public"`
	Scopes    []string `toml:"scopes"`
	Kinds     []string `toml:"kinds"`
	NotBefore date     `toml:"not_before"`
	NotAfter  date     `toml:"not_after"`
}

// date is "2026-11-30", its first second in UTC, or a time of RFC 3339.
type date struct{ time.Time }

func (d *date) UnmarshalText(b []byte) error {
	t, err := ParseDate(string(b))
	d.Time = t
	return err
}

// ParseDate reads a date as the trust files have it: 2026-11-30, which is its
// first second in UTC, or 2026-11-30T18:00:00Z.
func ParseDate(s string) (time.Time, error) {
	for _, layout := range []string{time.DateOnly, time.RFC3339} {
		if t, err := time.Parse(layout, s); err == nil {
			return t.UTC().Truncate(time.Second), nil
		}
	}
	return time.Time{}, fmt.Errorf("%.40q is not a date: want 2026-11-30 or 2026-11-30T18:00:00Z", s)
}

const fileVersion = 1

// ParseKey reads a trust.d/NAME.toml. The error has file, line and what is
// wrong, and wraps ErrInvalid.
func ParseKey(file, name string, data []byte) (*Key, error) {
	f := keyFile{Version: fileVersion}
	if err := tomlfile.Decode(file, data, &f); err != nil {
		return nil, fmt.Errorf("%w:\n%w", ErrInvalid, err)
	}
	c := checker{index: tomlfile.Index(file, data)}
	c.version(f.Version)
	k := &Key{Name: name, File: file, Scopes: f.Scopes, Kinds: f.Kinds, NotBefore: f.NotBefore.Time, NotAfter: f.NotAfter.Time}
	if !image.ValidName(name) {
		c.bad("the file's name is not usable: a-z, 0-9, dot, dash and underscore, and .toml")
	}
	var err error
	if k.Public, err = sign.ParsePublic([]byte(f.Public)); err != nil {
		c.bad("public: "+err.Error(), "public")
	}
	if len(k.Scopes) == 0 {
		c.bad(`scopes is missing: say which references the key may sign, "**" for any`, "scopes")
	}
	c.patterns(k.Scopes, "scopes")
	if len(k.Kinds) == 0 {
		k.Kinds = kinds
	}
	for _, one := range k.Kinds {
		c.oneOf(one, kinds, "kinds")
	}
	if !k.NotAfter.IsZero() && !k.NotAfter.After(k.NotBefore) {
		c.bad("not_after is not after not_before: the key would never count", "not_after")
	}
	return k, c.err()
}

// Text is a file that ParseKey reads.
func (k *Key) Text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "version = %d\npublic = \"\"\"\n%s\"\"\"\nscopes = [%s]\n", fileVersion, k.Public.PEM(), quoted(k.Scopes))
	if len(k.Kinds) > 0 && !slices.Equal(k.Kinds, kinds) {
		fmt.Fprintf(&b, "kinds = [%s]\n", quoted(k.Kinds))
	}
	if !k.NotBefore.IsZero() {
		fmt.Fprintf(&b, "not_before = %q\n", k.NotBefore.Format(time.RFC3339))
	}
	if !k.NotAfter.IsZero() {
		fmt.Fprintf(&b, "not_after = %q\n", k.NotAfter.Format(time.RFC3339))
	}
	return b.String()
}

func quoted(list []string) string {
	var out []string
	for _, s := range list {
		out = append(out, fmt.Sprintf("%q", s))
	}
	return strings.Join(out, ", ")
}

// usable says why the key does not count now, nil when it does, and until
// when that stays so; zero is for ever.
func (k *Key) usable(now time.Time) (until time.Time, err error) {
	switch {
	case !k.Revoked.IsZero() && !now.Before(k.Revoked):
		return until, fmt.Errorf("%w: key %s, since %s%s", ErrRevoked, k.Name, k.Revoked.Format(time.DateOnly), because(k.Reason))
	case now.Before(k.NotBefore):
		return until, fmt.Errorf("%w: key %s counts from %s", ErrExpired, k.Name, k.NotBefore.Format(time.DateOnly))
	case !k.NotAfter.IsZero() && !now.Before(k.NotAfter):
		return until, fmt.Errorf("%w: key %s counted until %s", ErrExpired, k.Name, k.NotAfter.Format(time.DateOnly))
	}
	return earlier(k.NotAfter, k.Revoked), nil
}

func because(reason string) string {
	if reason == "" {
		return ""
	}
	return " (" + reason + ")"
}

// may says why the key may not sign this kind of thing under any of the
// references; nil when it may.
func (k *Key) may(kind string, references []string) error {
	if !slices.Contains(k.Kinds, kind) {
		return fmt.Errorf("%w: key %s may not sign %s", ErrScope, k.Name, kind)
	}
	for _, r := range references {
		if slices.ContainsFunc(k.Scopes, func(p string) bool { return image.Match(p, r) }) {
			return nil
		}
	}
	return fmt.Errorf("%w: key %s may sign %s, and not %s", ErrScope, k.Name, strings.Join(k.Scopes, ", "), strings.Join(references, ", "))
}

// earlier is the first of two moments, where zero is never.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
