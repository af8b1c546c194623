package pkg

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"
)

// Decode reads a canonical encoding: Decode(Encode(p)) equals p. Anything that
// Encode would not have written is refused, so that one package has one ID.
// Errors wrap ErrCorrupt, ErrVersion or ErrInvalid. The result shares one copy
// of the input among its strings and keeps no reference to b.
func Decode(b []byte) (*Package, error) {
	if len(b) > MaxEncoded {
		return nil, fmt.Errorf("%w: %d bytes, the limit is %d", ErrCorrupt, len(b), MaxEncoded)
	}
	if len(b) < headerSize || string(b[:len(magic)]) != magic {
		return nil, fmt.Errorf("%w: it does not start like one", ErrCorrupt)
	}
	if v := binary.BigEndian.Uint16(b[len(magic):]); v != formatVersion {
		if v > formatVersion {
			return nil, fmt.Errorf("%w: version %d, this program knows %d", ErrVersion, v, formatVersion)
		}
		return nil, fmt.Errorf("%w: unknown version %d", ErrCorrupt, v)
	}
	if len(b) < headerSize+sha256.Size {
		return nil, fmt.Errorf("%w: truncated", ErrCorrupt)
	}
	body := b[:len(b)-sha256.Size]
	if sha256.Sum256(body) != Digest(b[len(body):]) {
		return nil, fmt.Errorf("%w: the checksum does not match", ErrCorrupt)
	}
	d := decoder{b: body, s: string(body), off: headerSize}
	p := d.pkg()
	if d.err == nil && d.off != len(d.b) {
		d.fail("%d bytes too many", len(d.b)-d.off)
	}
	if d.err != nil {
		return nil, d.err
	}
	if err := p.Validate(); err != nil {
		return nil, err
	}
	return p, nil
}

// decoder reads from b; strings are cut from s, which has the same bytes.
// After an error it returns zero values without moving on.
type decoder struct {
	b   []byte
	s   string
	off int
	err error
}

func (d *decoder) fail(format string, a ...any) {
	if d.err == nil {
		d.err = fmt.Errorf("%w: byte %d: %s", ErrCorrupt, d.off, fmt.Sprintf(format, a...))
		d.off = len(d.b)
	}
}

func (d *decoder) byte() byte {
	if d.off >= len(d.b) {
		d.fail("truncated")
		return 0
	}
	c := d.b[d.off]
	d.off++
	return c
}

func (d *decoder) uint(limit uint64) uint64 {
	// One byte is by far the most frequent length.
	if d.off < len(d.b) && d.b[d.off] < 0x80 {
		v := uint64(d.b[d.off])
		if v > limit {
			d.fail("number %d is over its limit %d", v, limit)
			return 0
		}
		d.off++
		return v
	}
	v, n := binary.Uvarint(d.b[d.off:])
	switch {
	case n <= 0:
		d.fail("truncated or overlong number")
		return 0
	case n > 1 && d.b[d.off+n-1] == 0:
		d.fail("number is not minimal")
		return 0
	case v > limit:
		d.fail("number %d is over its limit %d", v, limit)
		return 0
	}
	d.off += n
	return v
}

func (d *decoder) int() int64 {
	u := d.uint(math.MaxUint64)
	return int64(u>>1) ^ -int64(u&1)
}

func (d *decoder) str() string {
	n := int(d.uint(MaxEncoded))
	if n > len(d.b)-d.off {
		d.fail("a string of %d bytes does not fit", n)
		return ""
	}
	s := d.s[d.off : d.off+n]
	d.off += n
	return s
}

// count reads a number of items of which each takes at least size bytes, so
// that a short input cannot ask for a large allocation.
func (d *decoder) count(size int) int {
	n := int(d.uint(MaxEncoded))
	if n > (len(d.b)-d.off)/size {
		d.fail("%d items do not fit", n)
		return 0
	}
	return n
}

// list reads a counted list; the empty one is nil.
func list[T any](d *decoder, size int, item func(*T)) []T {
	n := d.count(size)
	if n == 0 {
		return nil
	}
	l := make([]T, n)
	for i := range l {
		item(&l[i])
	}
	return l
}

func (d *decoder) pkg() *Package {
	p := &Package{Name: d.str(), Version: d.str(), Arch: d.str()}
	n := d.count(3) // a link: head, path length, index
	if n > MaxEntries {
		d.fail("%d entries, the limit is %d", n, MaxEntries)
		return p
	}
	if n > 0 {
		p.Entries = make([]Entry, n)
	}
	for i := range p.Entries {
		if d.entry(p, i); d.err != nil {
			return p
		}
	}
	d.declared(&p.Declared)
	return p
}

func (d *decoder) entry(p *Package, i int) {
	t := &p.Entries[i]
	head := d.byte()
	t.Kind = Kind(head & headKind)
	if head&headLink != 0 {
		if Kind(head&^headLink) != File {
			d.fail("head of a hard link is %#x", head)
			return
		}
		path := d.str()
		first := int(d.uint(MaxEntries))
		if first >= i {
			d.fail("hard link refers to entry %d, which does not stand before it", first)
			return
		}
		*t = p.Entries[first]
		if t.Kind != File || t.Link != "" {
			d.fail("hard link refers to entry %d, which is not the first of a group", first)
			return
		}
		t.Link, t.Path = t.Path, path
		return
	}
	if head&^(headKind|headConffile|headXattrs) != 0 {
		d.fail("head of an entry is %#x", head)
		return
	}
	t.Conffile = head&headConffile != 0
	t.Path = d.str()
	t.Mode = uint32(d.uint(math.MaxUint32))
	t.UID = uint32(d.uint(math.MaxUint32))
	t.GID = uint32(d.uint(math.MaxUint32))
	t.MTime = int64(d.uint(math.MaxInt64))
	switch t.Kind {
	case File:
		t.Size = int64(d.uint(math.MaxInt64))
		if len(d.b)-d.off < sha256.Size {
			d.fail("truncated")
			return
		}
		t.Digest = Digest(d.b[d.off:])
		d.off += sha256.Size
	case Symlink:
		t.Target = d.str()
	case Char, Block:
		t.Major = uint32(d.uint(math.MaxUint32))
		t.Minor = uint32(d.uint(math.MaxUint32))
	}
	if head&headXattrs != 0 {
		t.Xattrs = list(d, 2, func(x *Xattr) {
			x.Name = d.str()
			if v := d.str(); v != "" {
				x.Value = []byte(v)
			}
		})
		if t.Xattrs == nil {
			d.fail("an empty list of attributes")
		}
	}
}

func (d *decoder) declared(c *Declared) {
	c.Users = list(d, 7, func(u *User) {
		*u = User{Name: d.str(), UID: d.id(), Group: d.str(), Home: d.str(), Shell: d.str(), Comment: d.str()}
		u.Groups = list(d, 1, func(g *string) { *g = d.str() })
	})
	c.Groups = list(d, 2, func(g *Group) { *g = Group{Name: d.str(), GID: d.id()} })
	c.Alternatives = list(d, 5, func(a *Alternative) {
		*a = Alternative{Name: d.str(), Link: d.str(), Path: d.str(), Priority: int(d.int())}
		n, last := d.count(2), ""
		for i := range n {
			if a.Slaves == nil {
				a.Slaves = make(map[string]string, n)
			}
			link, path := d.str(), d.str()
			if i > 0 && link <= last {
				d.fail("slave links are not sorted")
				return
			}
			a.Slaves[link], last = path, link
		}
	})
	c.Diversions = list(d, 3, func(v *Diversion) { *v = Diversion{From: d.str(), To: d.str(), By: d.str()} })
	c.Overrides = list(d, 4, func(o *Override) {
		*o = Override{Path: d.str(), User: d.str(), Group: d.str(), Mode: uint32(d.uint(math.MaxUint32))}
	})
	c.Capabilities = list(d, 2, func(k *Capability) { *k = Capability{Path: d.str(), Caps: d.str()} })
}

func (d *decoder) id() int {
	v := d.int()
	if v < -1 || v > math.MaxUint32 {
		d.fail("id %d is out of range", v)
		return 0
	}
	return int(v)
}
