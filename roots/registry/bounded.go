package registry

import "fmt"

// How many things JSON from outside may hold. A few bytes of text become a
// hundred in memory, so that a bound on the text alone is none.
const (
	maxThings         = 1 << 20 // of a Document
	maxManifestThings = 1 << 17
)

// bounded refuses JSON with more than limit elements of lists and members of
// objects, before anything is made of it. Text that is no JSON passes.
func bounded(text []byte, limit int) error {
	things, quoted := 0, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '"':
			quoted = !quoted
		case quoted && c == '\\':
			i++
		case !quoted && (c == ',' || c == '[' || c == '{'):
			if things++; things > limit {
				return fmt.Errorf("%w: it holds more than %d things", ErrRefused, limit)
			}
		}
	}
	return nil
}
