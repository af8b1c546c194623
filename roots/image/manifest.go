package image

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"ninefold/roots/pkg"
)

// The versions of a manifest. Version is written as long as it has all that the
// manifest says, so that images that say no more than before keep their ids and are read by
// older programs.
const (
	Version = 1
	// withRequires has Requires.
	withRequires = 2
	newest       = withRequires
)

// Form is the version that m is written in.
func (m *Manifest) Form() int {
	if !m.Requires.IsZero() {
		return withRequires
	}
	return Version
}

// Bounds of a manifest; they lie far above any real image.
const (
	MaxEncoded  = 64 << 20
	MaxPackages = 1 << 16
	MaxRemoved  = 1 << 20
	maxName     = 128
)

// ErrVersion is returned by Decode for a manifest that a newer program wrote.
// The record is to be left untouched.
var ErrVersion = errors.New("image manifest is newer than this program")

// ErrInvalid is returned for a manifest that breaks a rule of its fields.
var ErrInvalid = errors.New("invalid image manifest")

// Digests are the ids of the packages that m itself brings, the finishing one
// last.
func (m *Manifest) Digests() []pkg.Digest {
	ids := make([]pkg.Digest, 0, len(m.Packages)+1)
	for _, r := range m.Packages {
		ids = append(ids, r.Digest)
	}
	if !m.Finishing.IsZero() {
		ids = append(ids, m.Finishing)
	}
	return ids
}

// ID names m. Two manifests have one ID exactly when their trees and their
// environments are the same by construction.
func (m *Manifest) ID() ID {
	b := []byte("9fimage\n")
	str := func(s string) {
		b = binary.AppendUvarint(b, uint64(len(s)))
		b = append(b, s...)
	}
	b = binary.BigEndian.AppendUint16(b, uint16(m.Form()))
	b = append(b, m.Parent[:]...)
	b = binary.AppendUvarint(b, uint64(len(m.Packages)))
	for _, p := range m.Packages {
		b = append(b, p.Digest[:]...)
	}
	b = append(b, m.Finishing[:]...)
	b = binary.AppendUvarint(b, uint64(len(m.Removed)))
	for _, p := range m.Removed {
		str(p)
	}
	b = binary.AppendUvarint(b, uint64(len(m.Environment)))
	for _, k := range slices.Sorted(maps.Keys(m.Environment)) {
		str(k)
		str(m.Environment[k])
	}
	str(m.Host)
	if m.Form() >= withRequires {
		// Strings and lists of them cannot fail to encode.
		text, _ := json.Marshal(m.Requires)
		str(string(text))
	}
	return sha256.Sum256(b)
}

// Encode returns the canonical JSON of m after validating it.
func (m *Manifest) Encode() ([]byte, error) {
	if err := m.Validate(); err != nil {
		return nil, err
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(m); err != nil {
		return nil, fmt.Errorf("image %s: %w", m.Name, err)
	}
	if b.Len() > MaxEncoded {
		return nil, fmt.Errorf("image %s: manifest of %d bytes, the limit is %d: %w", m.Name, b.Len(), MaxEncoded, ErrInvalid)
	}
	return b.Bytes(), nil
}

// Decode is the strict inverse of Encode: it takes exactly what Encode gives.
func Decode(b []byte) (*Manifest, error) {
	if len(b) > MaxEncoded {
		return nil, fmt.Errorf("%w: %d bytes, the limit is %d", ErrInvalid, len(b), MaxEncoded)
	}
	var v struct {
		Version int `json:"version"`
	}
	if err := json.Unmarshal(b, &v); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if v.Version > newest {
		return nil, fmt.Errorf("%w: version %d, this program knows up to %d", ErrVersion, v.Version, newest)
	}
	var m Manifest
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&m); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	again, err := m.Encode()
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(again, b) {
		return nil, fmt.Errorf("%w: image %s is not in canonical form", ErrInvalid, m.Name)
	}
	return &m, nil
}

// Validate checks every rule that the fields state. Its error wraps ErrInvalid.
func (m *Manifest) Validate() error {
	if err := m.validate(); err != nil {
		return fmt.Errorf("image %q: %w: %w", m.Name, ErrInvalid, err)
	}
	return nil
}

func (m *Manifest) validate() error {
	if m.Version != m.Form() {
		return fmt.Errorf("version %d, want %d", m.Version, m.Form())
	}
	if err := m.Requires.Validate(); err != nil {
		return err
	}
	if !ValidName(m.Name) {
		return fmt.Errorf("the name must be 1 to %d of a-z, 0-9, dot, dash and underscore, and begin with a letter or digit", maxName)
	}
	if len(m.Packages) > MaxPackages {
		return fmt.Errorf("%d packages, the limit is %d", len(m.Packages), MaxPackages)
	}
	for i, p := range m.Packages {
		if p.Digest.IsZero() {
			return fmt.Errorf("package %q has no digest", p.Name)
		}
		if i > 0 && bytes.Compare(m.Packages[i-1].Digest[:], p.Digest[:]) >= 0 {
			return fmt.Errorf("packages are not sorted and unique by digest at %q", p.Name)
		}
		if !printable(p.Name) || p.Name == "" || !printable(p.Version) {
			return fmt.Errorf("package %s: name %q or version %q is not plain text", p.Digest.Short(), p.Name, p.Version)
		}
	}
	if len(m.Removed) > MaxRemoved {
		return fmt.Errorf("%d removed paths, the limit is %d", len(m.Removed), MaxRemoved)
	}
	for i, p := range m.Removed {
		if err := pkg.CheckPath(p); err != nil {
			return fmt.Errorf("removed path %q: %w", p, err)
		}
		if !utf8.ValidString(p) {
			return fmt.Errorf("removed path %q is not UTF-8, which JSON cannot hold", p)
		}
		if i > 0 && m.Removed[i-1] >= p {
			return fmt.Errorf("removed paths are not sorted and unique at %q", p)
		}
	}
	for k, v := range m.Environment {
		if !variable(k) || strings.IndexByte(v, 0) >= 0 || !utf8.ValidString(v) {
			return fmt.Errorf("environment variable %q is not usable", k)
		}
	}
	if !printable(m.Host) {
		return fmt.Errorf("host fingerprint %q is not plain text", m.Host)
	}
	return nil
}

// ValidName reports whether s can name an image or a tag: [a-z0-9][a-z0-9._-]*,
// at most 128 bytes.
func ValidName(s string) bool {
	for i, c := range []byte(s) {
		alnum := c >= 'a' && c <= 'z' || c >= '0' && c <= '9'
		if !alnum && (i == 0 || c != '.' && c != '_' && c != '-') {
			return false
		}
	}
	return s != "" && len(s) <= maxName
}

func printable(s string) bool {
	for _, c := range []byte(s) {
		if c <= ' ' || c > '~' {
			return false
		}
	}
	return len(s) <= 255
}

func variable(s string) bool {
	for i, c := range []byte(s) {
		letter := c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return s != ""
}
