package store

import (
	"crypto/sha256"
	"fmt"
	"strings"

	"ninefold/roots/pkg"
)

// Converted returns the package that SetConverted noted for key, if its record
// is still there. A damaged note is as good as none: the work is done again.
func (s *Store) Converted(key string) (pkg.Digest, bool) {
	b, err := readFile(s.convertedPath(key))
	if err != nil {
		return pkg.Digest{}, false
	}
	k, id, err := parseConverted(b)
	if err != nil || k != key || !s.HasPackage(id) {
		return pkg.Digest{}, false
	}
	return id, true
}

// SetConverted notes that the input named by key gives package id. The key
// must cover everything that decides the result: input, converter version, options.
func (s *Store) SetConverted(key string, id pkg.Digest) error {
	if strings.Contains(key, "\n") {
		return fmt.Errorf("conversion cache: the key holds a line break")
	}
	name := strings.TrimPrefix(s.convertedPath(key), s.dir)
	return s.explain(s.write(name, seal("converted", []byte(key+"\n"+id.String())), false))
}

func (s *Store) convertedPath(key string) string {
	return s.path("converted", pkg.Digest(sha256.Sum256([]byte(key))).String())
}

func parseConverted(b []byte) (key string, id pkg.Digest, err error) {
	if b, err = unseal("converted", b); err != nil {
		return "", id, err
	}
	key, hex, _ := strings.Cut(string(b), "\n")
	id, err = pkg.ParseDigest(hex)
	return key, id, err
}
