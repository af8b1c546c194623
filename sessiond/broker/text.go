package broker

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxLine bounds a command in logs and descriptions.
const maxLine = 400

// line is a command as one line for people, cut at maxLine.
func line(argv []string) string {
	var b strings.Builder
	for i, a := range argv {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(word(a))
		if b.Len() > maxLine {
			break
		}
	}
	return short(b.String())
}

// word is one word of a command, quoted where it could be taken for something
// else: what is not printable is escaped, the marks that turn the direction of
// writing around among it.
func word(a string) string {
	quote := a == ""
	var b strings.Builder
	for i := 0; i < len(a); {
		r, n := utf8.DecodeRuneInString(a[i:])
		switch {
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, `\x%02x`, a[i])
			quote = true
		case r == '\n':
			b.WriteString(`\n`)
			quote = true
		case r == '\\' || r == '"':
			b.WriteByte('\\')
			b.WriteRune(r)
			quote = true
		case !unicode.IsPrint(r):
			fmt.Fprintf(&b, `\u{%x}`, r)
			quote = true
		default:
			quote = quote || strings.ContainsRune(" '$`&;|<>()*?[]{}#~!", r)
			b.WriteRune(r)
		}
		i += n
	}
	if quote {
		return `"` + b.String() + `"`
	}
	return b.String()
}

// plain is text of others within a message.
func plain(s string) string {
	return short(strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, strings.ToValidUTF8(s, "?")))
}

func short(s string) string {
	if len(s) <= maxLine {
		return s
	}
	at := maxLine
	for at > 0 && !utf8.RuneStart(s[at]) {
		at--
	}
	return s[:at] + "..."
}
