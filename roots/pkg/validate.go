package pkg

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"math"
	"slices"
	"strings"
)

// Bounds of a package. They are far above what distributions ship and keep a
// hostile input from using up memory.
const (
	MaxEncoded    = 1 << 30 // bytes of an encoding
	MaxEntries    = 1 << 22
	MaxPath       = 4095 // bytes of a path or link target (PATH_MAX without the NUL)
	MaxName       = 255  // bytes of one path component (NAME_MAX), and of names
	MaxXattrs     = 128  // of one entry
	MaxXattrValue = 1 << 16
	maxMajor      = 1<<12 - 1 // the kernel's MINORBITS is 20 of 32
	maxMinor      = 1<<20 - 1
)

var emptyDigest = Digest(sha256.Sum256(nil))

// Validate checks every rule that the fields of Package, Entry and Declared
// state. Its error names the package and the path, and wraps ErrInvalid.
func (p *Package) Validate() error {
	if err := p.validate(); err != nil {
		return fmt.Errorf("package %q: %w: %w", p.Name, ErrInvalid, err)
	}
	return nil
}

func (p *Package) validate() error {
	if p.Name == "" || !plain(p.Name) {
		return fmt.Errorf("the name must be 1 to %d printable ASCII characters without blanks or slashes", MaxName)
	}
	for what, s := range map[string]string{"version": p.Version, "architecture": p.Arch} {
		if !plain(s) {
			return fmt.Errorf("%s %q: want at most %d printable ASCII characters without blanks or slashes", what, s, MaxName)
		}
	}
	if len(p.Entries) > MaxEntries {
		return fmt.Errorf("%d entries, the limit is %d", len(p.Entries), MaxEntries)
	}
	for i := range p.Entries {
		t := &p.Entries[i]
		if i > 0 && p.Entries[i-1].Path >= t.Path {
			return fmt.Errorf("%q stands after %q: entries must be sorted and unique", t.Path, p.Entries[i-1].Path)
		}
		if err := p.checkEntry(t); err != nil {
			return fmt.Errorf("%q: %w", t.Path, err)
		}
	}
	if err := p.checkTree(); err != nil {
		return err
	}
	return p.Declared.validate()
}

// CheckPath says whether s is a clean relative path as Entry.Path wants it.
func CheckPath(s string) error {
	if s == "" {
		return fmt.Errorf("empty path")
	}
	if len(s) > MaxPath {
		return fmt.Errorf("path of %d bytes, the limit is %d", len(s), MaxPath)
	}
	if strings.IndexByte(s, 0) >= 0 {
		return fmt.Errorf("path with a NUL byte")
	}
	for start := 0; start <= len(s); {
		end := len(s)
		if n := strings.IndexByte(s[start:], '/'); n >= 0 {
			end = start + n
		}
		switch c := s[start:end]; {
		case c == "":
			return fmt.Errorf("path is absolute, ends in a slash or has two in a row")
		case c == "." || c == "..":
			return fmt.Errorf("path with a %q component", c)
		case len(c) > MaxName:
			return fmt.Errorf("path component of %d bytes, the limit is %d", len(c), MaxName)
		}
		start = end + 1
	}
	return nil
}

func (p *Package) checkEntry(t *Entry) error {
	if err := CheckPath(t.Path); err != nil {
		return err
	}
	if t.Mode > 0o7777 {
		return fmt.Errorf("mode %#o has more than permission bits", t.Mode)
	}
	if t.UID == math.MaxUint32 || t.GID == math.MaxUint32 {
		return fmt.Errorf("owner %d:%d: the highest id means none", t.UID, t.GID)
	}
	if t.MTime < 0 {
		return fmt.Errorf("negative modification time %d", t.MTime)
	}
	if err := checkXattrs(t.Xattrs); err != nil {
		return err
	}
	if t.Kind != File && (t.Size != 0 || !t.Digest.IsZero() || t.Link != "" || t.Conffile) {
		return fmt.Errorf("has what only a regular file may have")
	}
	if t.Kind != Symlink && t.Target != "" {
		return fmt.Errorf("has a link target and is no symbolic link")
	}
	if t.Kind != Char && t.Kind != Block && (t.Major != 0 || t.Minor != 0) {
		return fmt.Errorf("has device numbers and is no device")
	}
	switch t.Kind {
	case File:
		return p.checkFile(t)
	case Symlink:
		if t.Target == "" || len(t.Target) > MaxPath || strings.IndexByte(t.Target, 0) >= 0 {
			return fmt.Errorf("link target must have 1 to %d bytes and no NUL", MaxPath)
		}
		if t.Mode != 0o777 {
			return fmt.Errorf("mode %#o: a symbolic link has 0777", t.Mode)
		}
	case Char, Block:
		if t.Major > maxMajor || t.Minor > maxMinor {
			return fmt.Errorf("device %d:%d is out of range", t.Major, t.Minor)
		}
	case Dir, Fifo:
	default:
		return fmt.Errorf("unknown kind %d", t.Kind)
	}
	return nil
}

func (p *Package) checkFile(t *Entry) error {
	if t.Size < 0 || t.Digest.IsZero() || (t.Size == 0) != (t.Digest == emptyDigest) {
		return fmt.Errorf("size %d does not go with digest %s", t.Size, t.Digest.Short())
	}
	if t.Link == "" {
		return nil
	}
	i := p.index(t.Link)
	if i < 0 || t.Link >= t.Path {
		return fmt.Errorf("hard link to %q, which does not stand before it", t.Link)
	}
	f := &p.Entries[i]
	if f.Kind != File || f.Link != "" {
		return fmt.Errorf("hard link to %q, which is not the first of a group", t.Link)
	}
	same := f.Mode == t.Mode && f.UID == t.UID && f.GID == t.GID && f.MTime == t.MTime &&
		f.Size == t.Size && f.Digest == t.Digest && f.Conffile == t.Conffile &&
		slices.EqualFunc(f.Xattrs, t.Xattrs, func(a, b Xattr) bool { return a.Name == b.Name && bytes.Equal(a.Value, b.Value) })
	if !same {
		return fmt.Errorf("hard link to %q with other attributes", t.Link)
	}
	return nil
}

func checkXattrs(l []Xattr) error {
	if len(l) > MaxXattrs {
		return fmt.Errorf("%d extended attributes, the limit is %d", len(l), MaxXattrs)
	}
	for i, x := range l {
		switch {
		case x.Name == "" || len(x.Name) > MaxName || strings.IndexByte(x.Name, 0) >= 0:
			return fmt.Errorf("attribute name %q must have 1 to %d bytes and no NUL", x.Name, MaxName)
		case strings.HasPrefix(x.Name, "trusted.overlay.") || strings.HasPrefix(x.Name, "user.overlay."):
			return fmt.Errorf("attribute %q belongs to the overlay file system", x.Name)
		case len(x.Value) > MaxXattrValue:
			return fmt.Errorf("attribute %q has %d bytes, the limit is %d", x.Name, len(x.Value), MaxXattrValue)
		case i > 0 && l[i-1].Name >= x.Name:
			return fmt.Errorf("attributes are not sorted and unique at %q", x.Name)
		}
	}
	return nil
}

// checkTree refuses an entry below one that is no directory. In bytewise order
// the entries that start with a path follow it at once, though "a-b" stands
// between "a" and "a/b".
func (p *Package) checkTree() error {
	for i := range p.Entries {
		t := &p.Entries[i]
		if t.Kind == Dir {
			continue
		}
		for _, u := range p.Entries[i+1:] {
			if !strings.HasPrefix(u.Path, t.Path) {
				break
			}
			if u.Path[len(t.Path)] == '/' {
				return fmt.Errorf("%q lies below %q, which is no directory", u.Path, t.Path)
			}
		}
	}
	return nil
}

// index finds an entry by path, or returns -1.
func (p *Package) index(path string) int {
	i, ok := slices.BinarySearchFunc(p.Entries, path, func(t Entry, s string) int { return strings.Compare(t.Path, s) })
	if !ok {
		return -1
	}
	return i
}

// Entry finds an entry of a sorted package by its path, or returns nil.
func (p *Package) Entry(path string) *Entry {
	if i := p.index(path); i >= 0 {
		return &p.Entries[i]
	}
	return nil
}

// plain accepts what names, versions and architectures of packages are made of.
func plain(s string) bool {
	if len(s) > MaxName {
		return false
	}
	for i := range len(s) {
		if s[i] <= ' ' || s[i] >= 0x7f || s[i] == '/' {
			return false
		}
	}
	return true
}
