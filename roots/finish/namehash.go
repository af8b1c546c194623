package finish

import (
	"crypto/sha1" //nolint:gosec // the file names of OpenSSL's directory are defined by it
	"encoding/asn1"
	"encoding/binary"
	"fmt"
	"strings"
	"unicode/utf16"
)

// ASN.1 string types (X.680) that a directory name may hold.
const (
	tagT61     = 20
	tagBMP     = 30
	tagUCS4    = 28
	tagIA5     = asn1.TagIA5String
	tagUTF8    = asn1.TagUTF8String
	tagPrint   = asn1.TagPrintableString
	tagVisible = 26
)

type attribute struct {
	Type  asn1.ObjectIdentifier
	Value asn1.RawValue
}

// nameHash is the first four bytes, little-endian, of the SHA-1 of a name in
// OpenSSL's canonical form (x509_name_canon): each relative name one after the
// other without the outer sequence, text as UTF-8, in lower case, without
// blanks at the ends, runs of blanks made one.
func nameHash(name []byte) (uint32, error) {
	var outer asn1.RawValue
	if rest, err := asn1.Unmarshal(name, &outer); err != nil || len(rest) > 0 || outer.Tag != asn1.TagSequence {
		return 0, fmt.Errorf("subject is no ASN.1 sequence")
	}
	var canon []byte
	for rest := outer.Bytes; len(rest) > 0; {
		var set asn1.RawValue
		var err error
		if rest, err = asn1.Unmarshal(rest, &set); err != nil {
			return 0, fmt.Errorf("subject: %w", err)
		}
		var members []byte
		for r := set.Bytes; len(r) > 0; {
			var a attribute
			if r, err = asn1.Unmarshal(r, &a); err != nil {
				return 0, fmt.Errorf("subject: %w", err)
			}
			if text, ok := canonicalText(a.Value); ok {
				a.Value = asn1.RawValue{Tag: tagUTF8, Bytes: text}
			}
			m, err := asn1.Marshal(a)
			if err != nil {
				return 0, fmt.Errorf("subject: %w", err)
			}
			members = append(members, m...)
		}
		s, err := asn1.Marshal(asn1.RawValue{Tag: asn1.TagSet, IsCompound: true, Bytes: members})
		if err != nil {
			return 0, fmt.Errorf("subject: %w", err)
		}
		canon = append(canon, s...)
	}
	sum := sha1.Sum(canon)
	return binary.LittleEndian.Uint32(sum[:]), nil
}

// canonicalText reports false for values that keep their encoding.
func canonicalText(v asn1.RawValue) ([]byte, bool) {
	var s string
	switch v.Tag {
	case tagUTF8, tagPrint, tagIA5, tagVisible:
		s = string(v.Bytes)
	case tagT61: // read as Latin-1, as OpenSSL does
		r := make([]rune, len(v.Bytes))
		for i, c := range v.Bytes {
			r[i] = rune(c)
		}
		s = string(r)
	case tagBMP:
		var u []uint16
		for i := 0; i+1 < len(v.Bytes); i += 2 {
			u = append(u, binary.BigEndian.Uint16(v.Bytes[i:]))
		}
		s = string(utf16.Decode(u))
	case tagUCS4:
		var r []rune
		for i := 0; i+3 < len(v.Bytes); i += 4 {
			r = append(r, rune(binary.BigEndian.Uint32(v.Bytes[i:])))
		}
		s = string(r)
	default:
		return nil, false
	}
	blank := func(r rune) bool { return strings.ContainsRune(" \t\n\v\f\r", r) }
	s = strings.Join(strings.FieldsFunc(s, blank), " ")
	// OpenSSL lowers ASCII alone.
	return []byte(strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' {
			r += 'a' - 'A'
		}
		return r
	}, s)), true
}
