package desktop

import (
	"errors"
	"slices"
	"strings"
)

// splitExec splits an Exec line into arguments and leaves its field codes out:
// a session is started without files. Greeters hand the line on to shells in
// several ways, so an argument that would need quoting there is an error; no
// session that Debian has needs one.
func splitExec(line string) ([]string, error) {
	var argv []string
	var word strings.Builder
	quoted, started := false, false
	for i := 0; i < len(line); i++ {
		switch c := line[i]; {
		case c == '"':
			quoted, started = !quoted, true
		case quoted && c == '\\' && i+1 < len(line):
			i++
			word.WriteByte(line[i])
		case !quoted && (c == ' ' || c == '\t' || c == '\n'):
			argv = add(argv, &word, started)
			started = false
		default:
			word.WriteByte(c)
			started = true
		}
	}
	argv = add(argv, &word, started)
	switch {
	case quoted:
		return nil, errors.New("a quote in Exec is not closed")
	case len(argv) == 0:
		return nil, errors.New("it has no Exec")
	case len(argv) > maxArgv:
		return nil, errors.New("too many arguments in Exec")
	}
	for _, a := range argv {
		if strings.Trim(a, plain) != "" || len(a) > maxText {
			return nil, errors.New("an argument of Exec needs quoting")
		}
	}
	return argv, nil
}

// plain are the characters that no shell and no greeter reads as anything else.
const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./=+:,@"

// fieldCodes stand for what a launcher opens; "%%" is not among them and needs
// quoting.
var fieldCodes = []string{"%f", "%F", "%u", "%U", "%d", "%D", "%n", "%N", "%i", "%c", "%k", "%v", "%m"}

func add(argv []string, word *strings.Builder, started bool) []string {
	defer word.Reset()
	if w := word.String(); started && w != "" && !slices.Contains(fieldCodes, w) {
		return append(argv, w)
	}
	return argv
}
