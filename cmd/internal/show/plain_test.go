package show

import "testing"

func TestPlainLeavesNothingToATerminal(t *testing.T) {
	for text, want := range map[string]string{
		"bind -r /srv/données '/a b'\n\t": "bind -r /srv/données '/a b'\n\t",
		"p\x1b[31mwned\x07":               `p\x1b[31mwned\x07`,
		"\u009b2J\x7f\r":                  `\x9b2J\x7f\x0d`,
		"\xff":                            `\xff`,
	} {
		if got := Plain(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}
