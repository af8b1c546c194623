package policy

import (
	"fmt"
	"slices"
	"strings"

	"ninefold/internal/tomlfile"
)

// Bounds of what is read. A policy is written by root, so they only keep a
// mistake from costing memory.
const (
	MaxSize  = 1 << 20 // bytes of a file
	MaxRules = 10000   // rules of a policy
	maxWords = 1024    // words of a rule
)

// word is one word of a policy: alternatives, and whether ... ends it.
type word struct {
	at   tomlfile.Position
	alts []lexed
	// dots is set when the word ends in a bare "...".
	dots bool
}

// lexed is one alternative of a word.
type lexed struct {
	text string
	// quoted is set when any of it was.
	quoted bool
	// group is set when it began with a bare @, star when it ended in a bare *;
	// neither is in text.
	group, star bool
}

// bare reports whether the word is exactly text, without quotes and patterns.
func (w word) bare(text string) bool { return w.plain() == text && text != "" }

// plain returns the text of a word without quotes and patterns, or "".
func (w word) plain() string {
	if len(w.alts) != 1 || w.dots {
		return ""
	}
	if a := w.alts[0]; !a.quoted && !a.group && !a.star {
		return a.text
	}
	return ""
}

// lexer cuts a policy into lines of words.
type lexer struct {
	file string
	text string
	pos  int
	line int
	row  int // where the row begins
}

func (l *lexer) here() tomlfile.Position {
	return tomlfile.Position{Line: l.line, Col: l.pos - l.row + 1}
}

func (l *lexer) fail(at tomlfile.Position, format string, args ...any) *tomlfile.Error {
	return &tomlfile.Error{File: l.file, Position: at, Msg: fmt.Sprintf(format, args...), Err: ErrInvalid}
}

// skip goes to the next line after an error.
func (l *lexer) skip() {
	for l.pos < len(l.text) && !l.newline() {
		l.pos++
	}
}

// newline passes over a newline if there is one here.
func (l *lexer) newline() bool {
	if l.text[l.pos] != '\n' {
		return false
	}
	l.pos++
	l.line++
	l.row = l.pos
	return true
}

// continued passes over a backslash and newline if they are here.
func (l *lexer) continued() bool {
	if !strings.HasPrefix(l.text[l.pos:], "\\\n") {
		return false
	}
	l.pos++
	return l.newline()
}

// next returns the words of the next line that has any; none at the end.
func (l *lexer) next() ([]word, *tomlfile.Error) {
	var words []word
	for l.pos < len(l.text) {
		switch c := l.text[l.pos]; {
		case c == ' ' || c == '\t':
			l.pos++
		case l.continued():
		case c == '#':
			for l.pos < len(l.text) && l.text[l.pos] != '\n' {
				l.pos++
			}
		case l.newline():
			if len(words) > 0 {
				return words, nil
			}
		default:
			w, err := l.word()
			if err != nil {
				l.skip()
				return nil, err
			}
			if words = append(words, w); len(words) > maxWords {
				l.skip()
				return nil, l.fail(w.at, "the rule has more than %d words", maxWords)
			}
		}
	}
	return words, nil
}

// reserved are bytes that mean something in a shell or in other pattern
// languages, and nothing here. That one of them stands for itself has to be
// said, so that nobody takes it for more.
const reserved = "\"\\$`?[]{}"

func (l *lexer) word() (word, *tomlfile.Error) {
	w := word{at: l.here()}
	var a lexed
	var text []byte
	var literal []bool // for each byte of text: it was quoted
	started := w.at
	end := func(last bool) *tomlfile.Error {
		if last && !slices.Contains(literal[max(0, len(literal)-3):], true) && strings.HasSuffix(string(text), "...") {
			w.dots = true
			text = text[:len(text)-3]
			literal = literal[:len(text)]
			if len(text) == 0 && !a.quoted {
				if len(w.alts) > 0 {
					return l.fail(started, "an alternative is empty; write '' for an empty word")
				}
				return nil // the rest, whatever it is
			}
		}
		if n := len(text); n > 0 && text[n-1] == '*' && !literal[n-1] {
			a.star = true
			text, literal = text[:n-1], literal[:n-1]
		}
		if len(text) > 0 && text[0] == '@' && !literal[0] {
			a.group = true
			text, literal = text[1:], literal[1:]
		}
		for i, c := range text {
			if c == '*' && !literal[i] {
				return l.fail(started, "a * stands at the end of a word; write '*' for the character itself")
			}
		}
		if len(text) == 0 && !a.quoted && !a.star && !a.group {
			return l.fail(started, "an alternative is empty; write '' for an empty word")
		}
		a.text = string(text)
		w.alts = append(w.alts, a)
		a, text, literal, started = lexed{}, nil, nil, l.here()
		return nil
	}
	for l.pos < len(l.text) && !strings.HasPrefix(l.text[l.pos:], "\\\n") {
		c := l.text[l.pos]
		if c == '\n' || c == ' ' || c == '\t' {
			break
		}
		switch {
		case c == '\'':
			a.quoted = true
			q, err := l.quoted()
			if err != nil {
				return w, err
			}
			text = append(text, q...)
			for range len(q) {
				literal = append(literal, true)
			}
			continue
		case c == '|':
			if err := end(false); err != nil {
				return w, err
			}
			l.pos++
			started = l.here()
			continue
		case c == '\r':
			return w, l.fail(l.here(), "a carriage return; the file needs Unix line ends")
		case c < ' ' || c == 0x7f:
			return w, l.fail(l.here(), "the control character %#02x stands outside quotes", c)
		case strings.IndexByte(reserved, c) >= 0:
			return w, l.fail(l.here(), "%c has no meaning here; write '%c' for the character itself", c, c)
		}
		text, literal = append(text, c), append(literal, false)
		l.pos++
	}
	err := end(true)
	return w, err
}

// quoted reads from one ' to the other; two of them stand for one.
func (l *lexer) quoted() ([]byte, *tomlfile.Error) {
	from := l.here()
	var text []byte
	l.pos++
	for l.pos < len(l.text) {
		c := l.text[l.pos]
		switch {
		case c == '\'' && strings.HasPrefix(l.text[l.pos:], "''"):
			l.pos++
		case c == '\'':
			l.pos++
			return text, nil
		case c == 0:
			return nil, l.fail(l.here(), "a NUL byte")
		case c == '\n':
			l.line++
			l.row = l.pos + 1
		}
		text = append(text, c)
		l.pos++
	}
	return nil, l.fail(from, "the quote that starts here has no end")
}
