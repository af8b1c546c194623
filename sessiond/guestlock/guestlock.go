// Package guestlock keeps the word by which a guest opens its session again after
// it has locked its screen. A guest has no password, and nothing on the machine
// goes by that word: it lies in a directory of the guest's, and says who may sit down in
// front of that one session.
package guestlock

import (
	"bytes"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"ninefold/internal/replace"
)

// name is the file in that directory: format, and salt and hash as hex digits.
const (
	name   = ".ninefold-unlock"
	format = "ninefold-unlock-1"
)

// rounds make one guess take a few hundredths of a second.
const rounds = 100_000

const saltSize = 16

// MostWord is how long a word may be, in bytes: what PAM hands on (PAM_MAX_RESP_SIZE).
const MostWord = 512

// The errors a caller tells apart.
var (
	ErrWord   = errors.New("the word is too long, or has characters that cannot be typed")
	ErrRecord = errors.New("what lies there is no word of this version's")
)

// Set has word open the session of the guest who has the directory dir for its own; with "" any does.
func Set(dir, word string) error {
	file := filepath.Join(dir, name)
	if word == "" {
		if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("forget the word: %w", err)
		}
		return nil
	}
	if len(word) > MostWord || strings.ContainsAny(word, "\x00\n\r") {
		return fmt.Errorf("keep the word: %w", ErrWord)
	}
	salt := make([]byte, saltSize)
	_, _ = rand.Read(salt) // never fails
	sum, err := hash(word, salt)
	if err == nil {
		err = replace.File(file, fmt.Appendf(nil, "%s %x %x\n", format, salt, sum), 0o600)
	}
	if err != nil {
		return fmt.Errorf("keep the word: %w", err)
	}
	return nil
}

// IsSet reports whether there is a word.
func IsSet(dir string) (bool, error) {
	_, err := os.Lstat(filepath.Join(dir, name))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// Opens reports whether word opens the session. Where none is set every one does, so
// that a screen which locks by itself locks nobody out.
func Opens(dir, word string) (bool, error) {
	f, err := os.Open(filepath.Join(dir, name))
	if errors.Is(err, fs.ErrNotExist) {
		return true, nil
	}
	if err != nil {
		return false, fmt.Errorf("look for the word: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, 256))
	if err != nil {
		return false, fmt.Errorf("look for the word: %w", err)
	}
	salt, want, err := parse(text)
	if err != nil {
		return false, fmt.Errorf("look for the word: %s: %w", f.Name(), err)
	}
	got, err := hash(word, salt)
	return err == nil && subtle.ConstantTimeCompare(got, want) == 1, err
}

func parse(text []byte) (salt, sum []byte, err error) {
	words := bytes.Split(bytes.TrimSuffix(text, []byte("\n")), []byte(" "))
	if len(words) != 3 || string(words[0]) != format {
		return nil, nil, ErrRecord
	}
	salt, err = hex.DecodeString(string(words[1]))
	if err == nil {
		sum, err = hex.DecodeString(string(words[2]))
	}
	if err != nil || len(salt) != saltSize || len(sum) != sha256.Size {
		return nil, nil, ErrRecord
	}
	return salt, sum, nil
}

func hash(word string, salt []byte) ([]byte, error) {
	return pbkdf2.Key(sha256.New, word, salt, rounds, sha256.Size)
}
