package finish

import (
	"crypto/sha256"
	"encoding/binary"
	"hash"

	"ninefold/roots/pkg"
)

// Version is part of every key; it changes when the meaning of a key does.
const Version = 1

// keyWriter hashes fields so that no two lists of fields give the same bytes:
// each has its length in front.
type keyWriter struct{ h hash.Hash }

func (w keyWriter) bytes(b []byte) {
	w.num(uint64(len(b)))
	w.h.Write(b)
}

func (w keyWriter) str(s string) { w.bytes([]byte(s)) }

func (w keyWriter) num(n uint64) {
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], n)
	w.h.Write(b[:])
}

// key names the result of a step over in.
func (s *step) key(in *inputs) pkg.Digest {
	w := keyWriter{sha256.New()}
	w.num(Version)
	w.str(s.name)
	w.num(uint64(s.revision))
	w.bytes(in.extra)
	for i := range in.entries {
		e := &in.entries[i]
		w.str(e.Path)
		for _, n := range []uint64{uint64(e.Kind), uint64(e.Mode), uint64(e.UID), uint64(e.GID),
			uint64(e.MTime), uint64(e.Size), uint64(e.Major), uint64(e.Minor), uint64(len(e.Xattrs))} {
			w.num(n)
		}
		w.h.Write(e.Digest[:])
		w.str(e.Target)
		for _, x := range e.Xattrs {
			w.str(x.Name)
			w.bytes(x.Value)
		}
	}
	var d pkg.Digest
	w.h.Sum(d[:0])
	return d
}

// newest is the latest time of in: what a step makes is as old as what it read,
// so that readers that compare times (icon caches, GIO modules) find it fresh
// and the same input gives the same bytes.
func (in *inputs) newest() int64 {
	var t int64
	for i := range in.entries {
		t = max(t, in.entries[i].MTime)
	}
	return t
}

// Fingerprint names the steps as this program has them: it changes when any
// step would give another result for the same input.
func Fingerprint() string {
	w := keyWriter{sha256.New()}
	w.num(Version)
	for _, s := range steps {
		w.str(s.name)
		w.num(uint64(s.revision))
	}
	var d pkg.Digest
	w.h.Sum(d[:0])
	return d.String()
}
