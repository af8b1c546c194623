package contexts

import (
	"errors"
	"fmt"
)

// ErrName says that a name cannot be a context's.
var ErrName = errors.New("not a name for a context")

// Default is the context that is meant where none is named. It need not be made
// first.
const Default = "default"

// MaxName is the length of the longest name.
const MaxName = 64

// CheckName accepts [a-z0-9][a-z0-9._-]*, at most MaxName bytes: what can stand
// in a path, a command line and a table as it is.
func CheckName(name string) error {
	if name == "" || len(name) > MaxName {
		return fmt.Errorf("%w: it has %d bytes; 1 to %d are possible", ErrName, len(name), MaxName)
	}
	for i := range len(name) {
		c := name[i]
		if c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || i > 0 && (c == '.' || c == '_' || c == '-') {
			continue
		}
		return fmt.Errorf("%w: %q is not made of a-z, 0-9, and after the first of . _ and -", ErrName, name)
	}
	return nil
}
