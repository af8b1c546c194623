// Package pkg holds the plain package: an immutable set of files with their
// metadata, without install scripts, named by its content.
//
// The package is pure: it describes files, it never touches them. File
// content lives in the object store under its sha256; a Package only refers
// to it.
package pkg

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
)

// Digest is a sha256 over uncompressed content. The zero Digest means "none".
type Digest [sha256.Size]byte

// String returns 64 lower-case hex digits.
func (d Digest) String() string { return hex.EncodeToString(d[:]) }

// Short returns the first 12 hex digits, enough for a person to tell two apart.
func (d Digest) Short() string { return hex.EncodeToString(d[:6]) }

// IsZero reports whether d names nothing.
func (d Digest) IsZero() bool { return d == Digest{} }

// MarshalText implements encoding.TextMarshaler (JSON, TOML).
func (d Digest) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler; it accepts exactly what
// ParseDigest accepts.
func (d *Digest) UnmarshalText(b []byte) error {
	v, err := ParseDigest(string(b))
	*d = v
	return err
}

// ParseDigest reads 64 lower-case hex digits.
func ParseDigest(s string) (Digest, error) {
	var d Digest
	if len(s) != 2*len(d) {
		return d, fmt.Errorf("digest %q: want %d hex digits, have %d characters", s, 2*len(d), len(s))
	}
	for _, c := range s {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return d, fmt.Errorf("digest %q: %q is not a lower-case hex digit", s, c)
		}
	}
	_, err := hex.Decode(d[:], []byte(s))
	return d, err
}

// Kind says what an Entry is.
type Kind uint8

// The kinds of file a package may hold. Sockets are refused at conversion.
const (
	Dir Kind = iota + 1
	File
	Symlink
	Char
	Block
	Fifo
)

// Entry is one name in a package.
type Entry struct {
	// Path is relative, slash-separated, clean, without "." or ".." and
	// without a leading slash: "usr/bin/env". Any byte but NUL may occur.
	Path string
	Kind Kind
	// Mode holds the permission bits, setuid, setgid and sticky: 0 to 07777.
	Mode uint32
	UID  uint32
	GID  uint32
	// MTime is in seconds since the epoch, never negative.
	MTime int64
	// Size is the length of a File's content in bytes, 0 for other kinds.
	Size int64
	// Digest names the content of a File in the object store; an empty file
	// has the digest of no bytes, not the zero Digest.
	Digest Digest
	// Target is a Symlink's text, as it stands in the link.
	Target string
	// Link is set on every File of a hard-link group but the bytewise first
	// one, and holds that one's Path. All members of a group have equal
	// attributes.
	Link string
	// Major and Minor number a Char or Block device.
	Major, Minor uint32
	// Xattrs are sorted by name and hold no trusted.overlay.* name.
	Xattrs []Xattr
	// Conffile marks a file that the package declares as configuration.
	Conffile bool
}

// Xattr is one extended attribute.
type Xattr struct {
	Name  string
	Value []byte
}

// Package is a plain package.
type Package struct {
	Name    string
	Version string
	Arch    string
	// Entries are sorted bytewise by Path, each Path once. Parent directories
	// need not be listed; a missing one is root:root 0755.
	Entries []Entry
	// Declared is the state that the files do not show.
	Declared Declared
}

// Declared is what a Debian package says in its maintainer scripts and that a
// plain package states as data instead. The finishing package of an image
// applies it.
type Declared struct {
	Users        []User        `json:"users,omitempty"`
	Groups       []Group       `json:"groups,omitempty"`
	Alternatives []Alternative `json:"alternatives,omitempty"`
	Diversions   []Diversion   `json:"diversions,omitempty"`
	Overrides    []Override    `json:"overrides,omitempty"`
	Capabilities []Capability  `json:"capabilities,omitempty"`
}

// User is a system user that the package's files or daemons need. UID -1 lets
// the image choose (deterministically, from the sorted set of names).
type User struct {
	Name    string   `json:"name" toml:"name"`
	UID     int      `json:"uid" toml:"uid"`
	Group   string   `json:"group,omitempty" toml:"group"`
	Home    string   `json:"home,omitempty" toml:"home"`
	Shell   string   `json:"shell,omitempty" toml:"shell"`
	Comment string   `json:"comment,omitempty" toml:"comment"`
	Groups  []string `json:"groups,omitempty" toml:"groups"` // supplementary
}

// Group is a system group. GID -1 lets the image choose.
type Group struct {
	Name string `json:"name" toml:"name"`
	GID  int    `json:"gid" toml:"gid"`
}

// Alternative is one candidate of an update-alternatives group.
type Alternative struct {
	Name     string            `json:"name" toml:"name"`               // "x-terminal-emulator"
	Link     string            `json:"link" toml:"link"`               // "/usr/bin/x-terminal-emulator"
	Path     string            `json:"path" toml:"path"`               // "/usr/bin/xterm"
	Priority int               `json:"priority" toml:"priority"`       // the highest wins, ties by Path
	Slaves   map[string]string `json:"slaves,omitempty" toml:"slaves"` // link -> path
}

// Diversion moves another package's file out of the way: a file at From that
// comes from any package but By is found at To.
type Diversion struct {
	From string `json:"from" toml:"from"`
	To   string `json:"to" toml:"to"`
	By   string `json:"by" toml:"by"`
}

// Override sets owner, group and mode of a path, as dpkg-statoverride does.
type Override struct {
	Path  string `json:"path" toml:"path"`
	User  string `json:"user" toml:"user"`
	Group string `json:"group" toml:"group"`
	Mode  uint32 `json:"mode" toml:"mode"`
}

// Capability is a file capability as setcap takes it: "cap_net_raw+ep".
type Capability struct {
	Path string `json:"path" toml:"path"`
	Caps string `json:"caps" toml:"caps"`
}

// UsrMerged are the top-level directories that a merged /usr holds, each a
// link into it at the root. Every package has their files below usr/.
var UsrMerged = []string{"bin", "lib", "lib32", "lib64", "libo32", "libx32", "sbin"}
