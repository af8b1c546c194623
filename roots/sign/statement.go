package sign

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"

	"ninefold/roots/image"
	"ninefold/roots/pkg"
)

// Kind is what a statement is about.
type Kind string

// The kinds of statements.
const (
	// Package: the subject is the id of a package, which the key holder made
	// or rebuilt.
	Package Kind = "package"
	// Image: the subject is the id of an image, and so its parent, its
	// packages and its environment.
	Image Kind = "image"
	// Tag: the reference Name stands for the image that is the subject.
	Tag Kind = "tag"
	// Successor: the key that is the subject takes the place of the signing one.
	Successor Kind = "successor"
)

const (
	statementType = "https://in-toto.io/Statement/v1"
	payloadType   = "application/vnd.in-toto+json"
	// predicates begin the predicate types; kind and version follow.
	predicates       = "urn:ninefold:"
	predicateVersion = ":1"
)

// maxName bounds the name of a subject in bytes.
const maxName = 512

// Statement is what a key vouches for.
type Statement struct {
	Kind Kind
	// Name is the reference of a tag; for people in the other kinds.
	Name string
	// Subject is what the statement is about.
	Subject pkg.Digest
	// Tag is set for a tag alone.
	Tag *TagInfo
	// Key is set for a successor alone: the new key.
	Key *Public
}

// TagInfo says which of the statements about a tag counts, and how long.
type TagInfo struct {
	// Version counts the images that the reference stood for, from 1. A higher
	// one takes the place of a lower one.
	Version uint64 `json:"version"`
	// Created and Expires are in whole seconds, UTC. After Expires the
	// statement says nothing any more; zero is never.
	Created time.Time `json:"created"`
	Expires time.Time `json:"expires,omitzero"`
}

// wire is the statement as in-toto describes it
// (github.com/in-toto/attestation, spec/v1/statement.md).
type wire struct {
	Type          string          `json:"_type"`
	Subject       []subject       `json:"subject"`
	PredicateType string          `json:"predicateType"`
	Predicate     json.RawMessage `json:"predicate,omitempty"`
}

type subject struct {
	Name   string            `json:"name"`
	Digest map[string]string `json:"digest"`
}

type successorInfo struct {
	// Key is the new key's SubjectPublicKeyInfo.
	Key []byte `json:"key"`
}

func (s *Statement) check() error {
	switch {
	case s.Kind != Package && s.Kind != Image && s.Kind != Tag && s.Kind != Successor:
		return fmt.Errorf("%w: kind %q is not known", ErrStatement, s.Kind)
	case s.Subject.IsZero():
		return fmt.Errorf("%w: it has no subject", ErrStatement)
	case len(s.Name) > maxName || !printable(s.Name):
		return fmt.Errorf("%w: the subject's name is not plain text of at most %d bytes", ErrStatement, maxName)
	case (s.Kind == Tag) != (s.Tag != nil) || (s.Kind == Successor) != (s.Key != nil):
		return fmt.Errorf("%w: its predicate is that of another kind than %s", ErrStatement, s.Kind)
	case s.Kind == Successor && s.Key.ID() != s.Subject:
		return fmt.Errorf("%w: the key in it is not its subject", ErrStatement)
	case s.Kind != Tag:
		return nil
	case !image.ValidReference(s.Name):
		return fmt.Errorf("%w: %q is not a reference", ErrStatement, s.Name)
	case s.Tag.Version == 0:
		return fmt.Errorf("%w: versions of tags are counted from 1", ErrStatement)
	case !whole(s.Tag.Created) || !s.Tag.Expires.IsZero() && !whole(s.Tag.Expires):
		return fmt.Errorf("%w: times are in whole seconds, UTC", ErrStatement)
	}
	return nil
}

func whole(t time.Time) bool {
	_, offset := t.Zone()
	return offset == 0 && t.Nanosecond() == 0 && !t.IsZero()
}

func printable(s string) bool {
	for _, c := range []byte(s) {
		if c < ' ' || c > '~' {
			return false
		}
	}
	return true
}

// encode returns the payload of an envelope.
func (s *Statement) encode() ([]byte, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	w := wire{Type: statementType, PredicateType: predicates + string(s.Kind) + predicateVersion,
		Subject: []subject{{s.Name, map[string]string{"sha256": s.Subject.String()}}}}
	var predicate any
	switch s.Kind {
	case Tag:
		predicate = s.Tag
	case Successor:
		predicate = successorInfo{s.Key.der}
	default:
		return json.Marshal(w)
	}
	var err error
	if w.Predicate, err = json.Marshal(predicate); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrStatement, err)
	}
	return json.Marshal(w)
}

// decode is the strict inverse of encode, but for the order of keys and for
// white space, which other programs write otherwise.
func decode(payload []byte) (*Statement, error) {
	var w wire
	if err := strict(payload, &w); err != nil {
		return nil, err
	}
	if w.Type != statementType {
		return nil, fmt.Errorf("%w: its type is %.80q", ErrStatement, w.Type)
	}
	if len(w.Subject) != 1 || len(w.Subject[0].Digest) != 1 {
		return nil, fmt.Errorf("%w: it has not one subject with one digest", ErrStatement)
	}
	d, err := pkg.ParseDigest(w.Subject[0].Digest["sha256"])
	if err != nil {
		return nil, fmt.Errorf("%w: its subject: %w", ErrStatement, err)
	}
	s := &Statement{Name: w.Subject[0].Name, Subject: d}
	for _, k := range []Kind{Package, Image, Tag, Successor} {
		if w.PredicateType == predicates+string(k)+predicateVersion {
			s.Kind = k
		}
	}
	switch s.Kind {
	case "":
		return nil, fmt.Errorf("%w: predicate type %.80q", ErrUnknown, w.PredicateType)
	case Tag:
		s.Tag = &TagInfo{}
		err = strict(w.Predicate, s.Tag)
	case Successor:
		var info successorInfo
		if err = strict(w.Predicate, &info); err == nil {
			s.Key, err = parseDER(info.Key)
		}
	}
	if err != nil {
		return nil, err
	}
	return s, s.check()
}

// strict decodes one JSON value without unknown fields and nothing after it.
func strict(b []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return fmt.Errorf("%w: %w", ErrStatement, err)
	}
	if d.More() {
		return fmt.Errorf("%w: something follows it", ErrStatement)
	}
	return nil
}
