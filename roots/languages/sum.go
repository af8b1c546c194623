package languages

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"

	"golang.org/x/mod/sumdb/dirhash"
)

// Sum is a hash as a lock file has it.
type Sum struct {
	// Kind is sha256, sha384 or sha512, of the file's bytes; or zip and mod, Go's hashes (h1) of what a
	// module's zip holds and of its go.mod.
	Kind string
	// Value is the hash.
	Value [64]byte
	size  int
}

// String is the kind and the value in hex, in a form that can be the name of a file.
func (s Sum) String() string { return s.Kind + "-" + hex.EncodeToString(s.Value[:s.size]) }

func newSum(kind string, value []byte) (Sum, error) {
	want := map[string]int{"sha256": 32, "sha384": 48, "sha512": 64, "zip": 32, "mod": 32}[kind]
	if want == 0 || len(value) != want {
		return Sum{}, fmt.Errorf("a hash of %d bytes is no %s", len(value), kind)
	}
	s := Sum{Kind: kind, size: want}
	copy(s.Value[:], value)
	return s, nil
}

// Bounds of what is in the zip of a Go module (golang.org/x/mod/zip).
const (
	maxModule  = 500 << 20 // bytes
	maxModules = 1 << 17   // files
	maxGoMod   = 16 << 20  // bytes
)

// Check reads a file of size bytes, and returns an error that wraps ErrHash when it is another one.
func (s Sum) Check(r io.ReaderAt, size int64) error {
	got, err := s.of(r, size)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrHash, err)
	}
	if !bytes.Equal(got, s.Value[:s.size]) {
		return fmt.Errorf("%w: it has %s %x, want %x", ErrHash, s.Kind, got, s.Value[:s.size])
	}
	return nil
}

func (s Sum) of(r io.ReaderAt, size int64) ([]byte, error) {
	var h hash.Hash
	switch s.Kind {
	case "zip", "mod":
		return s.h1(r, size)
	case "sha512":
		h = sha512.New()
	case "sha384":
		h = sha512.New384()
	default:
		h = sha256.New()
	}
	_, err := io.Copy(h, io.NewSectionReader(r, 0, size))
	return h.Sum(nil), err
}

// h1 is Go's hash of a list of files, as go.sum has it.
func (s Sum) h1(r io.ReaderAt, size int64) ([]byte, error) {
	names, open := []string{"go.mod"}, func(string) (io.ReadCloser, error) {
		return io.NopCloser(io.NewSectionReader(r, 0, min(size, maxGoMod))), nil
	}
	if s.Kind == "zip" {
		z, err := zip.NewReader(r, size)
		if err != nil {
			return nil, err
		}
		if len(z.File) > maxModules {
			return nil, fmt.Errorf("%d files in the zip of a module", len(z.File))
		}
		names = nil
		files := map[string]*zip.File{}
		for _, f := range z.File {
			if files[f.Name] != nil {
				return nil, fmt.Errorf("two files called %q in the zip of a module", f.Name)
			}
			files[f.Name] = f
			names = append(names, f.Name)
		}
		left := int64(maxModule)
		open = func(name string) (io.ReadCloser, error) {
			in, err := files[name].Open()
			return &bounded{in, &left}, err
		}
	}
	text, err := dirhash.Hash1(names, open)
	if err != nil {
		return nil, err
	}
	return base64.StdEncoding.DecodeString(text[len("h1:"):])
}

// bounded ends with an error when more than what is left was read, of all files together.
type bounded struct {
	io.ReadCloser
	left *int64
}

var errBomb = errors.New("more than a module may hold")

func (b *bounded) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if *b.left -= int64(n); *b.left < 0 {
		return n, errBomb
	}
	return n, err
}
