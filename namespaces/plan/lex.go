package plan

import (
	"maps"
	"slices"
	"strings"
)

// word is one word of a namespace file.
type word struct {
	text string
	// plain is set when nothing of it was quoted or expanded: only such a
	// word can be an option.
	plain bool
}

// lexer cuts a namespace file into lines of words.
type lexer struct {
	file string
	text string
	pos  int
	// at is the row of pos; start that of the line's first word.
	at, start int
	vars      map[string]string
}

func newLexer(file string, text []byte, vars map[string]string) (*lexer, error) {
	if len(text) > MaxText {
		return nil, &Error{file, 1, "the file is larger than 1 MiB", ErrInvalid}
	}
	return &lexer{file: file, text: string(text), at: 1, vars: vars}, nil
}

// next returns the words of the next line that has any, or none at the end.
func (l *lexer) next() ([]word, error) {
	var words []word
	for l.pos < len(l.text) {
		switch c := l.text[l.pos]; {
		case c == '\n':
			l.pos++
			l.at++
			if len(words) > 0 {
				return words, nil
			}
		case c == ' ' || c == '\t':
			l.pos++
		case l.continued():
			l.pos += 2
			l.at++
		case c == '#':
			for l.pos < len(l.text) && l.text[l.pos] != '\n' {
				l.pos++
			}
		default:
			if len(words) == 0 {
				l.start = l.at
			}
			w, err := l.word()
			if err != nil {
				return nil, err
			}
			if words = append(words, w); len(words) > maxWords {
				return nil, l.fail(ErrInvalid, "the line has more than 4096 words")
			}
		}
	}
	return words, nil
}

// continued reports whether a backslash and a newline stand at pos.
func (l *lexer) continued() bool { return strings.HasPrefix(l.text[l.pos:], "\\\n") }

func (l *lexer) word() (word, error) {
	var b strings.Builder
	w := word{plain: true}
	for l.pos < len(l.text) && !l.continued() {
		switch c := l.text[l.pos]; {
		case c == '\n' || c == ' ' || c == '\t':
			w.text = b.String()
			return w, nil
		case c == '\'':
			w.plain = false
			if err := l.quoted(&b); err != nil {
				return w, err
			}
		case c == '$':
			w.plain = false
			v, err := l.variable()
			if err != nil {
				return w, err
			}
			b.WriteString(v)
		case c == '\r':
			return w, l.failAt(l.at, ErrInvalid, "a carriage return; the file needs Unix line ends")
		case c < ' ' || c == 0x7f:
			return w, l.failAt(l.at, ErrInvalid, "the control character %#02x stands outside quotes", c)
		default:
			b.WriteByte(c)
			l.pos++
		}
	}
	w.text = b.String()
	return w, nil
}

// quoted reads from one ' to the other; two of them stand for one.
func (l *lexer) quoted(b *strings.Builder) error {
	from := l.at
	l.pos++
	for l.pos < len(l.text) {
		c := l.text[l.pos]
		switch {
		case c == '\'' && strings.HasPrefix(l.text[l.pos:], "''"):
			l.pos++
		case c == '\'':
			l.pos++
			return nil
		case c == 0:
			return l.failAt(l.at, ErrInvalid, "a NUL byte")
		case c == '\n':
			l.at++
		}
		b.WriteByte(c)
		l.pos++
	}
	return l.failAt(from, ErrInvalid, "the quote that starts here has no end")
}

// variable reads $name or ${name} and returns its value.
func (l *lexer) variable() (string, error) {
	l.pos++
	braced := strings.HasPrefix(l.text[l.pos:], "{")
	if braced {
		l.pos++
	}
	from := l.pos
	for l.pos < len(l.text) && nameByte(l.text[l.pos], l.pos == from) {
		l.pos++
	}
	name := l.text[from:l.pos]
	if braced {
		if !strings.HasPrefix(l.text[l.pos:], "}") {
			return "", l.failAt(l.at, ErrInvalid, "${ without a name and a }")
		}
		l.pos++
	}
	if name == "" {
		return "", l.failAt(l.at, ErrInvalid, "$ without a name; write '$' for the character itself")
	}
	v, ok := l.vars[name]
	if !ok {
		known := slices.Sorted(maps.Keys(l.vars))
		return "", l.failAt(l.at, ErrInvalid, "unknown variable $%s%s", name, hint(name, known))
	}
	return v, nil
}
