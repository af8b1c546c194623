package pkg

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
)

// The canonical encoding, version 1. Integers are minimal unsigned varints
// (encoding/binary), signed ones zigzag; a string is its length and its bytes.
//
//	magic "9fpkg\n", version (two bytes, big-endian)
//	name, version, arch
//	number of entries, entries
//	declared: users, groups, alternatives, diversions, overrides, capabilities,
//	          each as its number and its items
//	sha256 of everything before it
//
// An entry is a head byte (kind and flags), the path, and then for a later
// member of a hard-link group the index of the group's first entry, from which
// it takes everything else; for any other entry mode, uid, gid, mtime, what
// the kind calls for (size and digest, target, or device numbers) and the
// extended attributes if the flag is set.
const (
	magic         = "9fpkg\n"
	formatVersion = 1
	headerSize    = len(magic) + 2

	headKind     = 0x07
	headConffile = 0x08
	headXattrs   = 0x10
	headLink     = 0x20
)

// ErrVersion is returned by Decode for an encoding that a newer program wrote.
// Such a record is to be left untouched.
var ErrVersion = errors.New("package format is newer than this program")

// ErrCorrupt is returned by Decode for bytes that are not a canonical encoding:
// damaged, truncated, or written by something else.
var ErrCorrupt = errors.New("not a valid package encoding")

// ErrInvalid is returned by Validate, and so by Encode and Decode, for a
// package that breaks a rule of its fields.
var ErrInvalid = errors.New("invalid package")

// Encode returns the canonical encoding of p after validating it. Two packages
// have equal encodings exactly when they are equal, nil and empty slices and
// maps being the same.
func (p *Package) Encode() ([]byte, error) {
	if err := p.Validate(); err != nil {
		return nil, err
	}
	e := encoder{b: make([]byte, 0, 1024+128*len(p.Entries))}
	e.b = append(e.b, magic...)
	e.b = binary.BigEndian.AppendUint16(e.b, formatVersion)
	e.str(p.Name)
	e.str(p.Version)
	e.str(p.Arch)
	e.uint(uint64(len(p.Entries)))
	for i := range p.Entries {
		e.entry(p, &p.Entries[i])
	}
	e.declared(&p.Declared)
	sum := sha256.Sum256(e.b)
	e.b = append(e.b, sum[:]...)
	if len(e.b) > MaxEncoded {
		return nil, fmt.Errorf("package %s: encoding has %d bytes, the limit is %d: %w", p.Name, len(e.b), MaxEncoded, ErrInvalid)
	}
	return e.b, nil
}

// ID names p: the sha256 of its canonical encoding.
func (p *Package) ID() (Digest, error) {
	b, err := p.Encode()
	if err != nil {
		return Digest{}, err
	}
	return sha256.Sum256(b), nil
}

type encoder struct{ b []byte }

func (e *encoder) uint(v uint64) { e.b = binary.AppendUvarint(e.b, v) }
func (e *encoder) int(v int64)   { e.b = binary.AppendVarint(e.b, v) }

func (e *encoder) str(s string) {
	e.uint(uint64(len(s)))
	e.b = append(e.b, s...)
}

func (e *encoder) entry(p *Package, t *Entry) {
	head := byte(t.Kind)
	if t.Link != "" {
		e.b = append(e.b, head|headLink)
		e.str(t.Path)
		e.uint(uint64(p.index(t.Link)))
		return
	}
	if t.Conffile {
		head |= headConffile
	}
	if len(t.Xattrs) > 0 {
		head |= headXattrs
	}
	e.b = append(e.b, head)
	e.str(t.Path)
	e.uint(uint64(t.Mode))
	e.uint(uint64(t.UID))
	e.uint(uint64(t.GID))
	e.uint(uint64(t.MTime))
	switch t.Kind {
	case File:
		e.uint(uint64(t.Size))
		e.b = append(e.b, t.Digest[:]...)
	case Symlink:
		e.str(t.Target)
	case Char, Block:
		e.uint(uint64(t.Major))
		e.uint(uint64(t.Minor))
	}
	if len(t.Xattrs) > 0 {
		e.uint(uint64(len(t.Xattrs)))
		for _, x := range t.Xattrs {
			e.str(x.Name)
			e.uint(uint64(len(x.Value)))
			e.b = append(e.b, x.Value...)
		}
	}
}

func (e *encoder) declared(d *Declared) {
	e.uint(uint64(len(d.Users)))
	for _, u := range d.Users {
		e.str(u.Name)
		e.int(int64(u.UID))
		e.str(u.Group)
		e.str(u.Home)
		e.str(u.Shell)
		e.str(u.Comment)
		e.uint(uint64(len(u.Groups)))
		for _, g := range u.Groups {
			e.str(g)
		}
	}
	e.uint(uint64(len(d.Groups)))
	for _, g := range d.Groups {
		e.str(g.Name)
		e.int(int64(g.GID))
	}
	e.uint(uint64(len(d.Alternatives)))
	for _, a := range d.Alternatives {
		e.str(a.Name)
		e.str(a.Link)
		e.str(a.Path)
		e.int(int64(a.Priority))
		e.uint(uint64(len(a.Slaves)))
		for _, k := range slices.Sorted(maps.Keys(a.Slaves)) {
			e.str(k)
			e.str(a.Slaves[k])
		}
	}
	e.uint(uint64(len(d.Diversions)))
	for _, v := range d.Diversions {
		e.str(v.From)
		e.str(v.To)
		e.str(v.By)
	}
	e.uint(uint64(len(d.Overrides)))
	for _, o := range d.Overrides {
		e.str(o.Path)
		e.str(o.User)
		e.str(o.Group)
		e.uint(uint64(o.Mode))
	}
	e.uint(uint64(len(d.Capabilities)))
	for _, c := range d.Capabilities {
		e.str(c.Path)
		e.str(c.Caps)
	}
}
