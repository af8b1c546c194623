package deb

import (
	"bytes"
	"errors"
	"io"
	"strconv"
	"strings"
)

const (
	arMagic      = "!<arch>\n"
	arHeaderSize = 60
)

// archive reads the common ar(5) format, of which deb(5) allows plain names of
// at most 16 bytes: GNU's name table and BSD's long names are refused.
type archive struct {
	r    io.Reader
	left int64 // of the current member
	odd  bool  // a padding byte follows it
	cur  string
}

type arMember struct {
	name string
	size int64
}

func newArchive(r io.Reader) (*archive, error) {
	head := make([]byte, len(arMagic))
	if _, err := io.ReadFull(r, head); err != nil {
		return nil, truncated(err, "the archive header")
	}
	if string(head) != arMagic {
		return nil, malformed("it is no ar archive")
	}
	return &archive{r: r}, nil
}

// truncated makes the end of input within something an error of the package.
func truncated(err error, where string) error {
	if err == io.EOF || errors.Is(err, io.ErrUnexpectedEOF) {
		return malformed("truncated in %s", where)
	}
	return err
}

// next skips to the next member, or returns io.EOF after the last one.
func (a *archive) next() (arMember, error) {
	var none arMember
	if a.left > 0 {
		if _, err := io.Copy(io.Discard, a); err != nil {
			return none, err
		}
	}
	if a.odd {
		var pad [1]byte
		// dpkg-deb pads the last member too, but others leave that out.
		if _, err := io.ReadFull(a.r, pad[:]); err == io.EOF {
			return none, io.EOF
		} else if err != nil {
			return none, err
		}
		if pad[0] != '\n' {
			return none, malformed("member %q is padded with %q", a.cur, pad[0])
		}
		a.odd = false
	}
	var h [arHeaderSize]byte
	if _, err := io.ReadFull(a.r, h[:]); err == io.EOF {
		return none, io.EOF
	} else if err != nil {
		return none, truncated(err, "a member header")
	}
	if h[58] != '`' || h[59] != '\n' {
		return none, malformed("a member header does not end as one")
	}
	name := strings.TrimRight(string(h[:16]), " ")
	switch {
	case name == "/" || name == "//" || strings.HasPrefix(name, "/"):
		return none, malformed("member %q: GNU symbol and name tables have no place in a .deb", name)
	case strings.HasPrefix(name, "#1/"):
		return none, malformed("member %q: BSD long names have no place in a .deb", name)
	}
	name = strings.TrimSuffix(name, "/") // as GNU ar writes and dpkg reads them
	if name == "" || strings.ContainsAny(name, "/\x00") {
		return none, malformed("member name %q", h[:16])
	}
	digits := bytes.TrimRight(h[48:58], " ")
	size, err := strconv.ParseUint(string(digits), 10, 63)
	if err != nil {
		return none, malformed("member %q: size %q is no number", name, h[48:58])
	}
	a.left, a.odd, a.cur = int64(size), size%2 == 1, name
	return arMember{name, int64(size)}, nil
}

// Read reads the current member.
func (a *archive) Read(p []byte) (int, error) {
	if a.left == 0 {
		return 0, io.EOF
	}
	if int64(len(p)) > a.left {
		p = p[:a.left]
	}
	n, err := a.r.Read(p)
	a.left -= int64(n)
	if err == io.EOF && a.left > 0 {
		return n, malformed("truncated in member %q, %d bytes are missing", a.cur, a.left)
	}
	if err == io.EOF {
		err = nil
	}
	return n, err
}
