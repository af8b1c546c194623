package pkg

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
)

func content(s string) (Digest, int64) { return sha256.Sum256([]byte(s)), int64(len(s)) }

func file(path, text string) Entry {
	d, n := content(text)
	return Entry{Path: path, Kind: File, Mode: 0o644, MTime: 1700000000, Size: n, Digest: d}
}

func link(first Entry, path string) Entry {
	first.Link, first.Path = first.Path, path
	return first
}

func sample() *Package {
	conf := file("etc/demo.conf", "x=1\n")
	conf.Conffile = true
	priv := file("usr/bin/demo", "\x7fELF")
	priv.Mode, priv.Xattrs = 0o4755, []Xattr{{CapabilityAttribute, []byte{1, 0, 0, 2}}, {"user.note", []byte("n")}}
	p := &Package{
		Name: "demo", Version: "1:2.0-1+b1", Arch: "amd64",
		Entries: []Entry{
			{Path: "dev", Kind: Dir, Mode: 0o755},
			{Path: "dev/null", Kind: Char, Mode: 0o666, Major: 1, Minor: 3},
			{Path: "etc", Kind: Dir, Mode: 0o755, MTime: 5},
			conf,
			{Path: "run/fifo", Kind: Fifo, Mode: 0o600, UID: 7, GID: 70000},
			priv,
			link(priv, "usr/bin/demo-1"),
			{Path: "usr/lib/odd\nname\xff", Kind: Symlink, Mode: 0o777, Target: "../../etc"},
			file("var/empty", ""),
		},
		Declared: Declared{
			Users:        []User{{Name: "demo", UID: -1, Group: "demo", Home: "/nonexistent", Groups: []string{"audio", "video"}}},
			Groups:       []Group{{"demo", -1}, {"shadow", 42}},
			Alternatives: []Alternative{{Name: "x", Link: "/usr/bin/x", Path: "/usr/bin/demo", Priority: -20, Slaves: map[string]string{"/a": "/b", "/c": "/d"}}},
			Diversions:   []Diversion{{"/usr/bin/y", "/usr/bin/y.real", "demo"}},
			Overrides:    []Override{{"/usr/bin/demo", "root", "demo", 0o2755}},
			Capabilities: []Capability{{"/usr/bin/other", "cap_net_raw+ep"}},
		},
	}
	return p
}

func TestRoundTrip(t *testing.T) {
	p := sample()
	b, err := p.Encode()
	if err != nil {
		t.Fatal(err)
	}
	q, err := Decode(b)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(p, q) {
		t.Fatalf("decoded package differs:\n%+v\n%+v", p, q)
	}
	id, err := p.ID()
	if err != nil || id != Digest(sha256.Sum256(b)) {
		t.Fatalf("ID is %s, %v; want the sha256 of the encoding", id, err)
	}
}

// The encoding names packages in stores and on other machines: it must not
// change without a new format version.
func TestEncodingIsStable(t *testing.T) {
	id, err := sample().ID()
	if err != nil {
		t.Fatal(err)
	}
	if got, want := id.String(), "29dad7124b817ad88d13f859f939891023eef6e29f52918e0dfb072945616547"; got != want {
		t.Errorf("ID of the sample package is %s, want %s", got, want)
	}
}

func TestDecodeRefusesEveryFlippedByte(t *testing.T) {
	b, err := sample().Encode()
	if err != nil {
		t.Fatal(err)
	}
	for i := range b {
		c := bytes.Clone(b)
		c[i] ^= 0x40
		if _, err := Decode(c); !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrVersion) {
			t.Fatalf("byte %d flipped: %v", i, err)
		}
		if _, err := Decode(b[:i]); !errors.Is(err, ErrCorrupt) {
			t.Fatalf("cut to %d bytes: %v", i, err)
		}
	}
}

// seal puts a right checksum under a body, so that what stands in it is looked at.
func seal(body []byte) []byte {
	sum := sha256.Sum256(body)
	return append(bytes.Clone(body), sum[:]...)
}

func TestDecodeRefusesWhatEncodeNeverWrites(t *testing.T) {
	head := binary.BigEndian.AppendUint16([]byte(magic), formatVersion)
	body := func(s string) []byte { return seal(append(bytes.Clone(head), s...)) }
	six := "\x00\x00\x00\x00\x00\x00"
	for name, b := range map[string][]byte{
		"overlong number":       body("\x81\x00a\x00\x00\x00" + six),
		"bytes after the end":   body("\x01a\x00\x00\x00" + six + "\x00"),
		"more entries than fit": body("\x01a\x00\x00\xff\xff\xff\x01" + six),
		"link to itself":        body("\x01a\x00\x00\x01\x22\x01x\x00" + six),
		"unknown flag":          body("\x01a\x00\x00\x01\x41\x01x\x00\x00\x00\x00" + six),
		"empty attribute list":  body("\x01a\x00\x00\x01\x11\x01x\x00\x00\x00\x00\x00" + six),
	} {
		if _, err := Decode(b); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
	}
	newer := seal(append(binary.BigEndian.AppendUint16([]byte(magic), formatVersion+1), "anything"...))
	if _, err := Decode(newer); !errors.Is(err, ErrVersion) {
		t.Errorf("newer version: %v", err)
	}
}

func FuzzDecode(f *testing.F) {
	b, err := sample().Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b[:len(b)-sha256.Size])
	small, err := (&Package{Name: "a", Entries: []Entry{file("x", "y")}}).Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(small[:len(small)-sha256.Size])
	f.Fuzz(func(t *testing.T, body []byte) {
		b := seal(body)
		p, err := Decode(b)
		if err != nil {
			return
		}
		again, err := p.Encode()
		if err != nil || !bytes.Equal(again, b) {
			t.Fatalf("accepted an encoding that is not canonical (%v)", err)
		}
	})
}

func BenchmarkDecode75k(b *testing.B) {
	var all [][]byte
	for k := range 1000 {
		p := &Package{Name: fmt.Sprintf("p%d", k), Version: "1", Arch: "amd64"}
		for i := range 75 {
			p.Entries = append(p.Entries, file(fmt.Sprintf("usr/share/%s/some/dir/file-%04d.%s", p.Name, i, strings.Repeat("x", 20)), p.Name))
		}
		enc, err := p.Encode()
		if err != nil {
			b.Fatal(err)
		}
		all = append(all, enc)
	}
	for b.Loop() {
		for _, enc := range all {
			if _, err := Decode(enc); err != nil {
				b.Fatal(err)
			}
		}
	}
}
