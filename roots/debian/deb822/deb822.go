// Package deb822 reads Debian control data: deb822(5), Debian policy 5.1. It
// serves package indices, Release files, apt's .sources and the control file
// of a package.
package deb822

import (
	"errors"
	"fmt"
	"io"
	"strings"
)

// Bounds on what is read. The largest field of the Debian archive is the list
// of hashes in a Release file, about 200 KB.
const (
	maxFields = 256
	maxValue  = 8 << 20
	maxName   = 256
)

// ErrSyntax is wrapped by every error about the text.
var ErrSyntax = errors.New("malformed control data")

// Field is one field of a paragraph.
type Field struct {
	Name string
	// Value is the text after the colon without white space around it. The
	// line ends and the first character of further lines are kept as they
	// are, and so are comments between them; Lines drops all that.
	Value string
}

// Paragraph is the fields between two empty lines, in their order.
type Paragraph []Field

// Get returns a field's value, "" when it is not there. Names are compared
// without regard to case.
func (p Paragraph) Get(name string) string {
	for i := range p {
		if strings.EqualFold(p[i].Name, name) {
			return p[i].Value
		}
	}
	return ""
}

// Lines splits a value of several lines; each line comes without white space
// around it, and empty ones and comments are left out.
func Lines(value string) []string {
	var out []string
	rest := false // a comment can only follow the first line
	for line := range strings.Lines(value) {
		comment := rest && line[0] == '#'
		if rest = true; comment {
			continue
		}
		if line = strings.TrimSpace(line); line != "" {
			out = append(out, line)
		}
	}
	return out
}

// Reader reads paragraphs from text. What it returns are substrings of text,
// so it copies nothing and keeps text alive.
type Reader struct {
	text string
	pos  int
	line int
	// start and end bound the paragraph read last.
	start, end int
	value      int // where the value of the last field begins
	fields     Paragraph
}

// NewReader returns a Reader at the start of text.
func NewReader(text string) *Reader { return &Reader{text: text} }

// Next returns the next paragraph, or io.EOF. The paragraph is overwritten by
// the following call; its strings stay.
func (r *Reader) Next() (Paragraph, error) {
	r.fields = r.fields[:0]
	for {
		before := r.pos
		line, ok := r.readLine()
		blank := strings.TrimRight(line, " \t\r") == ""
		switch {
		case !ok || blank:
			if len(r.fields) > 0 {
				r.end = before
				return r.fields, nil
			}
			if !ok {
				return nil, io.EOF
			}
		case line[0] == '#':
		case line[0] == ' ' || line[0] == '\t':
			if err := r.extend(before, line); err != nil {
				return nil, err
			}
		default:
			if len(r.fields) == 0 {
				r.start = before
			}
			if err := r.field(before, line); err != nil {
				return nil, err
			}
		}
	}
}

// Raw returns the text of the paragraph that Next returned last, with the line
// end of its last line.
func (r *Reader) Raw() string { return r.text[r.start:r.end] }

func (r *Reader) readLine() (string, bool) {
	if r.pos >= len(r.text) {
		return "", false
	}
	r.line++
	rest := r.text[r.pos:]
	if i := strings.IndexByte(rest, '\n'); i >= 0 {
		r.pos += i + 1
		return rest[:i], true
	}
	r.pos = len(r.text)
	return rest, true
}

func (r *Reader) field(at int, line string) error {
	name, value, ok := strings.Cut(line, ":")
	if !ok || !validName(name) {
		return r.errorf("%q is not the start of a field", clip(line))
	}
	if len(r.fields) >= maxFields {
		return r.errorf("more than %d fields in one paragraph", maxFields)
	}
	if r.fields.has(name) {
		return r.errorf("field %s stands twice in one paragraph", name)
	}
	r.value = at + len(name) + 1
	r.fields = append(r.fields, Field{name, strings.TrimSpace(value)})
	return nil
}

// extend adds a further line, which starts at offset at, to the last field.
// The value stays a substring of the text, from its own start to the end of
// this line.
func (r *Reader) extend(at int, line string) error {
	if len(r.fields) == 0 {
		return r.errorf("a continued line without a field before it")
	}
	f := &r.fields[len(r.fields)-1]
	end := at + len(strings.TrimRight(line, " \t\r"))
	if end-r.value > maxValue {
		return r.errorf("field %s is longer than %d bytes", f.Name, maxValue)
	}
	f.Value = strings.TrimLeft(r.text[r.value:end], " \t\r\n")
	return nil
}

func (p Paragraph) has(name string) bool {
	for i := range p {
		if len(p[i].Name) == len(name) && strings.EqualFold(p[i].Name, name) {
			return true
		}
	}
	return false
}

func validName(name string) bool {
	if name == "" || len(name) > maxName || name[0] == '-' || name[0] == '#' {
		return false
	}
	for i := range len(name) {
		if name[i] <= ' ' || name[i] > '~' {
			return false
		}
	}
	return true
}

func (r *Reader) errorf(format string, args ...any) error {
	return fmt.Errorf("line %d: %w: %s", r.line, ErrSyntax, fmt.Sprintf(format, args...))
}

func clip(s string) string {
	if len(s) > 60 {
		return s[:60] + "..."
	}
	return s
}
