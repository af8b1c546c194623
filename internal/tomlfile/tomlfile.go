// Package tomlfile reads Ninefold's TOML files strictly: a key that nothing
// reads is an error that names file, line, column and the nearest right key.
//
// Keys are matched byte for byte. A file that works is a file every key of
// which was understood.
package tomlfile

import (
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/pelletier/go-toml/v2"
)

// MaxSize is the size in bytes of the largest file that Decode reads.
const MaxSize = 1 << 20

// ErrTooLarge says that a file is larger than MaxSize.
var ErrTooLarge = errors.New("file is too large")

// Decode reads data, the content of the TOML file called file, into the
// struct or map that into points to.
//
// The error is an Errors with everything wrong that could be found: one
// syntax error, or every unknown key and every value of the wrong type. What
// into holds after an error is undefined. Types that implement
// encoding.TextUnmarshaler are filled from strings.
func Decode(file string, data []byte, into any) error {
	t := reflect.TypeOf(into)
	if t == nil || t.Kind() != reflect.Pointer {
		return fmt.Errorf("decode %s: into is a %T, not a pointer", file, into)
	}
	if len(data) > MaxSize {
		return fmt.Errorf("%s: %w: %d bytes, at most %d are read", file, ErrTooLarge, len(data), MaxSize)
	}
	w := walk(file, data, t.Elem())
	if w.syntax == nil && len(w.errs) > 0 {
		return w.errs
	}
	if err := toml.Unmarshal(data, into); err != nil {
		return decodeError(file, err)
	}
	return nil
}

// decodeError gives a decoder's error our form. Its own text starts with the
// library's name, which says nothing to the author of a file.
func decodeError(file string, err error) error {
	var de *toml.DecodeError
	if !errors.As(err, &de) {
		return fmt.Errorf("%s: %s", file, strings.TrimPrefix(err.Error(), "toml: "))
	}
	line, col := de.Position()
	return Errors{{File: file, Position: Position{line, col}, Msg: strings.TrimPrefix(de.Error(), "toml: ")}}
}

// Position is a place in a file, both counted from 1. The zero Position is
// "somewhere in the file". Columns count bytes.
type Position struct{ Line, Col int }

// Error is one thing wrong with a file.
type Error struct {
	File string
	Position
	Msg string
	// Err is what the error is for errors.Is; may be nil.
	Err error
}

// Error returns "file:line:col: message".
func (e *Error) Error() string {
	if e.Line == 0 {
		return fmt.Sprintf("%s: %s", e.File, e.Msg)
	}
	return fmt.Sprintf("%s:%d:%d: %s", e.File, e.Line, e.Col, e.Msg)
}

// Unwrap returns e.Err.
func (e *Error) Unwrap() error { return e.Err }

// Errors are all the errors of one file in the order of their lines.
type Errors []*Error

// Error returns one line an error.
func (es Errors) Error() string {
	lines := make([]string, len(es))
	for i, e := range es {
		lines[i] = e.Error()
	}
	return strings.Join(lines, "\n")
}

// AsWritten marks errors about what somebody wrote, for who tells them and does
// not read TOML.
func (es Errors) AsWritten() {}

// Unwrap returns the single errors.
func (es Errors) Unwrap() []error {
	out := make([]error, len(es))
	for i, e := range es {
		out[i] = e
	}
	return out
}

// ErrUnknownKey is what an Error about a key that nothing reads wraps.
var ErrUnknownKey = errors.New("unknown key")
