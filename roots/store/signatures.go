package store

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"slices"

	"golang.org/x/sys/unix"

	"ninefold/roots/pkg"
)

// Bounds of the signatures over one package or image.
const (
	// MaxSignatures is how many are kept. One more is refused: what is kept
	// may be what a login needs, so nothing makes room for it.
	MaxSignatures = 64
	// MaxSignature is the size of one in bytes.
	MaxSignature = 16 << 10
)

// ErrFull says that no more signatures are kept over a digest.
var ErrFull = errors.New("too many signatures")

// Signature is an envelope over a package or an image. The store does not
// look into it: what a signature is worth is decided when it is used.
type Signature struct {
	Digest   pkg.Digest
	Envelope []byte
}

// Signatures returns the envelopes that were added over digest, the id of a
// package or an image, in a stable order. A damaged one is left out: it is as
// good as none. One of a newer version is ErrVersion.
func (s *Store) Signatures(digest pkg.Digest) ([][]byte, error) {
	dir := s.path("signatures", digest.String())
	all, err := digests(dir)
	if err != nil {
		return nil, s.explain(err)
	}
	slices.SortFunc(all, func(a, b pkg.Digest) int { return bytes.Compare(a[:], b[:]) })
	var out [][]byte
	for _, name := range all[:min(len(all), MaxSignatures)] {
		b, err := s.signature(digest, name)
		if errors.Is(err, ErrVersion) {
			return nil, fmt.Errorf("signatures over %s: %w", digest.Short(), err)
		}
		if err == nil {
			out = append(out, b)
		}
	}
	return out, nil
}

// signature reads one envelope, which is named by its sha256.
func (s *Store) signature(digest, name pkg.Digest) ([]byte, error) {
	b, err := readFile(s.path("signatures", digest.String(), name.String()))
	if err != nil {
		return nil, err
	}
	if b, err = unseal("signature", b); err != nil {
		return nil, err
	}
	if len(b) > MaxSignature || sha256.Sum256(b) != name {
		return nil, fmt.Errorf("%w: the signature is not the one that its name says", ErrDamaged)
	}
	return b, nil
}

// AddSignature keeps one envelope over digest; it is on disk when AddSignature
// returns.
func (s *Store) AddSignature(digest pkg.Digest, envelope []byte) error {
	return s.AddSignatures(context.Background(), []Signature{{digest, envelope}})
}

// AddSignatures keeps envelopes; all are on disk when it returns. What is there
// already is not written again. It may be interrupted: then some are there.
func (s *Store) AddSignatures(ctx context.Context, list []Signature) error {
	// No collection runs meanwhile, which would take what is signed away.
	unlock, err := s.lockStore(ctx, unix.LOCK_SH)
	if err != nil {
		return s.explain(err)
	}
	defer unlock()
	// Stores of earlier versions have no such directory.
	if err := mkdir(s.path("signatures")); err != nil {
		return s.explain(err)
	}
	wrote := false
	for _, one := range list {
		new, err := s.addSignature(one)
		if err != nil {
			return fmt.Errorf("signature over %s: %w", one.Digest.Short(), err)
		}
		wrote = wrote || new
	}
	if !wrote {
		return nil
	}
	// One call instead of two syncs for each of some thousand small files.
	return s.explain(s.syncfs())
}

func (s *Store) addSignature(one Signature) (wrote bool, err error) {
	if len(one.Envelope) == 0 || len(one.Envelope) > MaxSignature {
		return false, fmt.Errorf("%d bytes; 1 to %d are kept", len(one.Envelope), MaxSignature)
	}
	name := pkg.Digest(sha256.Sum256(one.Envelope))
	dir := "signatures/" + one.Digest.String()
	switch err := os.Mkdir(s.path(dir), 0o700); {
	case errors.Is(err, os.ErrExist):
		if _, err := s.signature(one.Digest, name); err == nil {
			return false, nil
		}
		have, err := names(s.path(dir))
		if err != nil {
			return false, s.explain(err)
		}
		if len(have) >= MaxSignatures && !slices.Contains(have, name.String()) {
			return false, fmt.Errorf("%w: %d are kept", ErrFull, MaxSignatures)
		}
	case err != nil:
		return false, s.explain(err)
	}
	return true, s.explain(s.write(dir+"/"+name.String(), seal("signature", one.Envelope), false))
}

// collectSignatures removes the signatures over what is neither a live package
// nor an image.
func (s *Store) collectSignatures(packages map[pkg.Digest]bool) error {
	all, err := digests(s.path("signatures"))
	if err != nil {
		return err
	}
	for _, d := range all {
		if packages[d] || s.HasImage(d) {
			continue
		}
		err = errors.Join(err, removeTree(s.path("signatures", d.String())))
	}
	return err
}

// collectOrigins removes the notes about images that are gone.
func (s *Store) collectOrigins() error {
	ids, err := digests(s.path("origins"))
	for _, id := range ids {
		if !s.HasImage(id) {
			err = errors.Join(err, os.Remove(s.path("origins", id.String())))
		}
	}
	return err
}
