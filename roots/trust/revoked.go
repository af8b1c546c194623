package trust

import (
	"fmt"
	"time"

	"ninefold/internal/tomlfile"
	"ninefold/roots/pkg"
)

// Revocation is one [[revoked]] of revoked.toml.
type Revocation struct {
	// Key is the id of the key; Since is from when it counts no more (default:
	// always), whatever the date on a signature: who has a key can put any date there.
	Key    pkg.Digest `toml:"key"`
	Since  date       `toml:"since"`
	Reason string     `toml:"reason"`
}

// ParseRevoked reads a revoked.toml.
func ParseRevoked(file string, data []byte) ([]Revocation, error) {
	f := struct {
		Version int          `toml:"version"`
		Revoked []Revocation `toml:"revoked"`
	}{Version: fileVersion}
	if err := tomlfile.Decode(file, data, &f); err != nil {
		return nil, fmt.Errorf("%w:\n%w", ErrInvalid, err)
	}
	c := checker{index: tomlfile.Index(file, data)}
	c.version(f.Version)
	for i := range f.Revoked {
		r := &f.Revoked[i]
		if r.Key.IsZero() {
			c.bad("key is missing: the id of the key, as sessionctl key show prints it", "revoked", fmt.Sprint(i), "key")
		}
		if r.Since.IsZero() {
			r.Since.Time = time.Unix(0, 0).UTC() // always
		}
	}
	return f.Revoked, c.err()
}

// Text is what one revocation is in revoked.toml.
func (r Revocation) Text() string {
	s := fmt.Sprintf("[[revoked]]\nkey = \"%s\"\nsince = %q\n", r.Key, r.Since.Format(time.RFC3339))
	if r.Reason != "" {
		s += fmt.Sprintf("reason = %q\n", r.Reason)
	}
	return s
}
