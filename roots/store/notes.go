package store

import (
	"bytes"
	"errors"
	"os"

	"ninefold/roots/pkg"
)

// Notes is a kind of notes about packages: what can be found out again, at a
// cost. The store does not look into them, and deletes them with the package.
type Notes string

// The kinds. A note says itself in which form it is.
const (
	// Packed says which blobs a package becomes when it travels.
	Packed Notes = "packed"
	// Sources says which source package it was made of.
	Sources Notes = "sources"
)

// SetNote keeps a note about package id in place of the one of its kind.
func (s *Store) SetNote(kind Notes, id pkg.Digest, note []byte) error {
	// Stores of earlier versions have no such directory.
	if err := mkdir(s.path(string(kind))); err != nil {
		return s.explain(err)
	}
	return s.explain(s.write(string(kind)+"/"+id.String(), seal(string(kind), append([]byte(id.String()+"\n"), note...)), false))
}

// Note returns what SetNote kept, or nil. A damaged note is as good as none.
func (s *Store) Note(kind Notes, id pkg.Digest) []byte {
	b, err := readFile(s.path(string(kind), id.String()))
	if err != nil {
		return nil
	}
	if b, err = unseal(string(kind), b); err != nil {
		return nil
	}
	note, ok := bytes.CutPrefix(b, []byte(id.String()+"\n"))
	if !ok {
		return nil
	}
	return note
}

// collectNotes removes the notes about packages that are gone.
func (s *Store) collectNotes() (err error) {
	for _, kind := range []Notes{Packed, Sources} {
		ids, e := digests(s.path(string(kind)))
		err = errors.Join(err, e)
		for _, id := range ids {
			if !s.HasPackage(id) {
				err = errors.Join(err, os.Remove(s.path(string(kind), id.String())))
			}
		}
	}
	return err
}
