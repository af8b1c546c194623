package lock

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	"ninefold/internal/regular"
	"ninefold/internal/replace"
	"ninefold/roots/pkg"
)

const (
	maxSize     = 64 << 20
	maxPackages = 100_000
)

// Sentinel errors of lock files.
var (
	ErrInvalid = errors.New("invalid lock file")
	ErrVersion = errors.New("lock file of an unknown version")
)

// Encode returns the text of the lock file: equal locks give equal bytes.
func (l *Lock) Encode() ([]byte, error) {
	if err := l.validate(); err != nil {
		return nil, err
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", " ")
	if err := e.Encode(l); err != nil {
		return nil, fmt.Errorf("encode lock of %s: %w", l.Recipe, err)
	}
	return b.Bytes(), nil
}

// Digest is the sha256 of Encode.
func (l *Lock) Digest() (pkg.Digest, error) {
	text, err := l.Encode()
	if err != nil {
		return pkg.Digest{}, err
	}
	return sha256.Sum256(text), nil
}

// Decode reads the text of the lock file called file. Unknown keys, trailing
// text and packages out of order are errors; a version that is not known is
// ErrVersion, so that a newer file is left alone.
func Decode(file string, text []byte) (*Lock, error) {
	if len(text) > maxSize {
		return nil, fmt.Errorf("%s: %w: %d bytes, at most %d are read", file, ErrInvalid, len(text), maxSize)
	}
	var head struct {
		Version int `json:"version"`
	}
	if err := json.Unmarshal(text, &head); err != nil {
		return nil, fmt.Errorf("%s: %w: %w", file, ErrInvalid, err)
	}
	if head.Version != Version {
		return nil, fmt.Errorf("%s: %w %d; this program reads version %d", file, ErrVersion, head.Version, Version)
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	l := &Lock{}
	if err := d.Decode(l); err != nil {
		return nil, fmt.Errorf("%s: %w: %w", file, ErrInvalid, err)
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, fmt.Errorf("%s: %w: text after the end", file, ErrInvalid)
	}
	if err := l.validate(); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return l, nil
}

// Read reads a lock file. A file that is not there is fs.ErrNotExist.
func Read(path string) (*Lock, error) {
	text, err := regular.Read(path, maxSize)
	if errors.Is(err, regular.ErrNot) || errors.Is(err, regular.ErrTooLarge) {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if err != nil {
		return nil, fmt.Errorf("read lock: %w", err)
	}
	return Decode(path, text)
}

// Write writes a lock file in one step: path holds the old text or the new,
// never a part.
func Write(path string, l *Lock) error {
	text, err := l.Encode()
	if err == nil {
		err = replace.File(path, text, 0o644)
	}
	if err != nil {
		return fmt.Errorf("write lock: %w", err)
	}
	return nil
}

func (l *Lock) validate() error {
	bad := func(format string, args ...any) error {
		return fmt.Errorf("%w: %s", ErrInvalid, fmt.Sprintf(format, args...))
	}
	switch {
	case l.Version != Version:
		return bad("version is %d, not %d", l.Version, Version)
	case l.Recipe == "" || l.Arch == "":
		return bad("recipe or arch is missing")
	case l.RecipeHash.IsZero():
		return bad("recipe_hash is missing")
	case len(l.Packages) > maxPackages:
		return bad("%d packages, at most %d are taken", len(l.Packages), maxPackages)
	}
	for i, p := range l.Packages {
		switch {
		case p.Name == "" || p.Version == "" || p.Arch == "" || p.URL == "":
			return bad("package %d (%s) lacks name, version, arch or url", i, p.Name)
		case p.Size <= 0 || p.SHA256.IsZero():
			return bad("package %s lacks size or sha256", p.Name)
		case i > 0 && l.Packages[i-1].Name >= p.Name:
			return bad("package %s is out of order or listed twice", p.Name)
		}
	}
	if !slices.IsSortedFunc(l.Updates, func(a, b Source) int { return compare(a.Suite, b.Suite, a.Mirror, b.Mirror) }) {
		return bad("updates are out of order")
	}
	return nil
}

// compare orders by the first pair that differs.
func compare(pairs ...string) int {
	for i := 0; i+1 < len(pairs); i += 2 {
		if c := cmp.Compare(pairs[i], pairs[i+1]); c != 0 {
			return c
		}
	}
	return 0
}
