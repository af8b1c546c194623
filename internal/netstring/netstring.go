// Package netstring writes and reads sequences of netstrings ("5:hello,"). A
// session start reads records of them: a decoder that goes by reflection would
// take longer than everything else that a start decides.
package netstring

import (
	"errors"
	"strconv"
	"strings"
)

// ErrFormat says that something else was found than what was to be read.
var ErrFormat = errors.New("not the expected netstrings")

// Packer writes; the zero value is ready.
type Packer struct{ b strings.Builder }

// String returns what was written.
func (w *Packer) String() string { return w.b.String() }

// Text writes s, of any bytes.
func (w *Packer) Text(s string) {
	w.b.WriteString(strconv.Itoa(len(s)))
	w.b.WriteByte(':')
	w.b.WriteString(s)
	w.b.WriteByte(',')
}

// Number writes n in decimal.
func (w *Packer) Number(n int) { w.Text(strconv.Itoa(n)) }

// Flag writes a truth value.
func (w *Packer) Flag(on bool) { w.Text(strconv.FormatBool(on)) }

// Texts writes how many there are, and them.
func (w *Packer) Texts(all []string) {
	w.Number(len(all))
	for _, s := range all {
		w.Text(s)
	}
}

// Unpacker reads what a Packer wrote, in the same order; after the first error
// it yields zero values.
type Unpacker struct {
	rest string
	err  error
}

// Unpack begins to read s. What is read shares its bytes.
func Unpack(s string) *Unpacker { return &Unpacker{rest: s} }

// End returns ErrFormat if anything read was not there, or anything is left.
func (r *Unpacker) End() error {
	if r.err == nil && r.rest != "" {
		r.Fail()
	}
	return r.err
}

// Rest returns what has not been read yet.
func (r *Unpacker) Rest() string { return r.rest }

// Fail makes the rest an error: what was read means nothing.
func (r *Unpacker) Fail() { r.err, r.rest = ErrFormat, "" }

// Text reads a text.
func (r *Unpacker) Text() string {
	length, rest, ok := strings.Cut(r.rest, ":")
	n, err := strconv.Atoi(length)
	if !ok || err != nil || n < 0 || n >= len(rest) || rest[n] != ',' || strconv.Itoa(n) != length {
		r.Fail()
		return ""
	}
	r.rest = rest[n+1:]
	return rest[:n]
}

// Number reads a number.
func (r *Unpacker) Number() int {
	n, err := strconv.Atoi(r.Text())
	if err != nil {
		r.Fail()
	}
	return n
}

// Count reads the number of things that follow, which take at least three bytes
// each: not more than can be there.
func (r *Unpacker) Count() int {
	n := r.Number()
	if n < 0 || n > len(r.rest)/3 {
		r.Fail()
		return 0
	}
	return n
}

// Flag reads a truth value.
func (r *Unpacker) Flag() bool {
	s := r.Text()
	if s != "true" && s != "false" {
		r.Fail()
	}
	return s == "true"
}

// Texts reads what Texts wrote.
func (r *Unpacker) Texts() []string {
	var all []string
	for range r.Count() {
		all = append(all, r.Text())
	}
	return all
}
