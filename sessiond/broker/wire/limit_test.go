package wire

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

// commandOf has that many bytes with the ends of its arguments.
func commandOf(size int) []string {
	argv := []string{"true"}
	for size -= len("true") + 1; size > 0; {
		n := min(size, MaxArgument+1)
		argv = append(argv, strings.Repeat("x", n-1))
		size -= n
	}
	return argv
}

// TestTheLongestCommand: what is sent and what is taken have the same end, whatever
// a sender that is not ours leaves out.
func TestTheLongestCommand(t *testing.T) {
	encoded := func(argv []string) []byte {
		var e encoder
		e.field(tagStreams, "\x00\x00\x00")
		for _, a := range argv {
			e.field(tagArgument, a)
		}
		return e.b
	}
	whole := commandOf(MaxArguments)
	b, err := (&Request{Argv: whole}).Encode()
	if err != nil {
		t.Fatalf("a command of %d bytes is not sent: %v", MaxArguments, err)
	}
	if len(b) > maxLength {
		t.Errorf("its frame has %d bytes, and %d are taken", len(b), maxLength)
	}
	for _, b := range [][]byte{b, encoded(whole)} {
		if r, err := DecodeRequest(b); err != nil || !slices.Equal(r.Argv, whole) {
			t.Errorf("a command of %d bytes is not taken: %v", MaxArguments, err)
		}
	}
	over := commandOf(MaxArguments + 1)
	if _, err := (&Request{Argv: over}).Encode(); !errors.Is(err, ErrBad) {
		t.Errorf("one byte more is sent: %v", err)
	}
	if _, err := DecodeRequest(encoded(over)); !errors.Is(err, ErrBad) {
		t.Errorf("one byte more is taken: %v", err)
	}
}
