package guestlock

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestTheWordOpens(t *testing.T) {
	dir := t.TempDir()
	opens := func(word string, want bool) {
		t.Helper()
		if got, err := Opens(dir, word); got != want || err != nil {
			t.Errorf("%q opens: %v, %v", word, got, err)
		}
	}
	opens("anything", true)
	opens("", true)
	if set, err := IsSet(dir); set || err != nil {
		t.Errorf("a word is set at first: %v, %v", set, err)
	}
	for _, word := range []string{"tulip", "wörter mit platz"} {
		if err := Set(dir, word); err != nil {
			t.Fatal(err)
		}
		opens(word, true)
		opens("", false)
		opens(word+"s", false)
		opens("anything", false)
	}
	if set, err := IsSet(dir); !set || err != nil {
		t.Errorf("no word is set: %v, %v", set, err)
	}
	text, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil || strings.Contains(string(text), "platz") {
		t.Errorf("kept is %q, %v", text, err)
	}
	for range 2 {
		if err := Set(dir, ""); err != nil {
			t.Fatal(err)
		}
	}
	opens("anything", true)
}

func TestWhatIsNoWord(t *testing.T) {
	dir := t.TempDir()
	for _, word := range []string{strings.Repeat("x", MostWord+1), "a\nb", "a\x00"} {
		if err := Set(dir, word); !errors.Is(err, ErrWord) {
			t.Errorf("%q: %v", word, err)
		}
	}
	for _, text := range []string{"", "\n", "ninefold-unlock-2 00 00\n", format + " 00 00\n", format + " x y\n", strings.Repeat("z", 1000)} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if opens, err := Opens(dir, "tulip"); opens || !errors.Is(err, ErrRecord) {
			t.Errorf("%q opens: %v, %v", text, opens, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(format + " 000102030405060708090a0b0c0d0e0f " + strings.Repeat("ab", 32) + "\n"))
	f.Add([]byte(""))
	f.Fuzz(func(t *testing.T, text []byte) {
		salt, sum, err := parse(text)
		if err == nil && (len(salt) != saltSize || len(sum) != 32) {
			t.Errorf("%q: %x %x", text, salt, sum)
		}
	})
}
