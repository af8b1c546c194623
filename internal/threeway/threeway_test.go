package threeway

import (
	"bytes"
	"strings"
	"testing"
)

func text(words string) []byte {
	if words == "" {
		return nil
	}
	return []byte(strings.ReplaceAll(words, " ", "\n") + "\n")
}

func TestMerge(t *testing.T) {
	for _, c := range []struct{ old, mine, theirs, want string }{
		{"a b c d e", "a B c d e", "a b c d E", "a B c d E"},
		{"a b c d e", "x a b c d e", "a b c d e y", "x a b c d e y"},
		{"a b c d e", "a c d e", "a b c d", "a c d"},
		{"a b c", "a b c", "x", "x"},
		{"a b c", "x", "a b c", "x"},
		{"a b c", "a X c", "a X c", "a X c"},
		{"a b c d e f", "a X c d e F", "a X c d e f", "a X c d e F"},
		{"", "a", "a", "a"},
		{"a b c d", "a b 1 2 c d", "a b c d 3", "a b 1 2 c d 3"},
	} {
		got, ok := Merge(text(c.old), text(c.mine), text(c.theirs))
		if !ok || !bytes.Equal(got, text(c.want)) {
			t.Errorf("%q: %q and %q become %q, %v; want %q", c.old, c.mine, c.theirs, got, ok, c.want)
		}
	}
	for _, c := range [][3]string{
		{"a b c", "a X c", "a Y c"}, {"a b c", "a c", "a Y c"}, {"", "a", "b"}, {"a", "a b", "a c"},
		{"a b c", "a X c", "a b Y"}, // next to each other
	} {
		if got, ok := Merge(text(c[0]), text(c[1]), text(c[2])); ok {
			t.Errorf("%q merges to %q", c, got)
		}
	}
	if _, ok := Merge([]byte("a\x00"), []byte("b\x00"), []byte("c")); ok {
		t.Error("binary files merge")
	}
}

// A side that changed nothing leaves the other as it is, and the sides are equal
// before the merge.
func FuzzMerge(f *testing.F) {
	f.Add("a\nb\nc\n", "a\nX\nc\n", "a\nb\nc\nd")
	f.Add("", "x", "\n")
	f.Fuzz(func(t *testing.T, old, mine, theirs string) {
		o, m, h := []byte(old), []byte(mine), []byte(theirs)
		got, ok := Merge(o, m, h)
		again, ok2 := Merge(o, h, m)
		if ok != ok2 || !bytes.Equal(got, again) {
			t.Fatalf("%q %v one way, %q %v the other", got, ok, again, ok2)
		}
		for _, c := range [][2][]byte{{m, h}, {h, m}} {
			if got, ok := Merge(o, c[0], o); !ok || !bytes.Equal(got, c[0]) {
				t.Fatalf("with an unchanged side: %q %v", got, ok)
			}
			// What a side made of old is made by its changes.
			if a, ok := changes(lines(o), lines(c[0])); ok {
				if made, ok := join(lines(o), a, nil); !ok || !bytes.Equal(made, c[0]) {
					t.Fatalf("changes make %q of %q, not %q", made, o, c[0])
				}
			}
		}
	})
}
