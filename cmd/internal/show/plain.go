package show

import (
	"fmt"
	"strings"
	"unicode"
)

// Plain makes text that others had a hand in safe for a terminal: control
// characters but newline and tab, and bytes that are no UTF-8, are shown as
// \x1b is. A mount point or a session's record may hold what moves the cursor
// or types into the terminal.
func Plain(text string) string {
	plain := func(r rune) bool {
		return r == '\n' || r == '\t' || r != unicode.ReplacementChar && !unicode.IsControl(r)
	}
	if strings.IndexFunc(text, func(r rune) bool { return !plain(r) }) < 0 {
		return text
	}
	var b strings.Builder
	for i, r := range text {
		switch {
		case plain(r):
			b.WriteRune(r)
		case r == unicode.ReplacementChar:
			fmt.Fprintf(&b, `\x%02x`, text[i])
		default:
			fmt.Fprintf(&b, `\x%02x`, r)
		}
	}
	return b.String()
}
