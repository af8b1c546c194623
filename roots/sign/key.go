package sign

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"

	"ninefold/roots/pkg"
)

// ErrKey says that a text is not a key that this package works with.
var ErrKey = errors.New("not an Ed25519 key in PEM")

// maxPEM bounds the text of a key; real ones have about 120 bytes.
const maxPEM = 8 << 10

// KeyID names a public key: the sha256 of its SubjectPublicKeyInfo in DER,
// which "openssl pkey -pubin -outform DER | sha256sum" prints.
type KeyID = pkg.Digest

// Public is a public key.
type Public struct {
	id  KeyID
	der []byte
	key ed25519.PublicKey
}

// Private is a private key. It is never printed: it has no String.
type Private struct {
	public *Public
	key    ed25519.PrivateKey
}

// Generate makes a new key.
func Generate() (*Private, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make a key: %w", err)
	}
	return newPrivate(key)
}

func newPrivate(key ed25519.PrivateKey) (*Private, error) {
	public, err := newPublic(key.Public().(ed25519.PublicKey))
	return &Private{public, key}, err
}

func newPublic(key ed25519.PublicKey) (*Public, error) {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKey, err)
	}
	return &Public{id: sha256.Sum256(der), der: der, key: key}, nil
}

// ParsePrivate reads one PKCS #8 block, as "openssl genpkey -algorithm
// ed25519" writes it. Encrypted keys are refused.
func ParsePrivate(text []byte) (*Private, error) {
	der, err := block(text, "PRIVATE KEY")
	if err != nil {
		return nil, err
	}
	parsed, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, fmt.Errorf("%w: the block does not hold a PKCS #8 key", ErrKey)
	}
	key, ok := parsed.(ed25519.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("%w: it is a key of another algorithm", ErrKey)
	}
	return newPrivate(key)
}

// ParsePublic reads one SubjectPublicKeyInfo block, as "openssl pkey -pubout"
// writes it.
func ParsePublic(text []byte) (*Public, error) {
	der, err := block(text, "PUBLIC KEY")
	if err != nil {
		return nil, err
	}
	return parseDER(der)
}

func parseDER(der []byte) (*Public, error) {
	parsed, err := x509.ParsePKIXPublicKey(der)
	if err != nil {
		return nil, fmt.Errorf("%w: the block does not hold a public key", ErrKey)
	}
	key, ok := parsed.(ed25519.PublicKey)
	if !ok {
		return nil, fmt.Errorf("%w: it is a key of another algorithm", ErrKey)
	}
	p, err := newPublic(key)
	if err == nil && !bytes.Equal(p.der, der) {
		return nil, fmt.Errorf("%w: its encoding is not the canonical one, so its id would not be its only one", ErrKey)
	}
	return p, err
}

// block returns the content of the one block that text holds.
func block(text []byte, kind string) ([]byte, error) {
	if len(text) > maxPEM {
		return nil, fmt.Errorf("%w: it has %d bytes, at most %d are read", ErrKey, len(text), maxPEM)
	}
	b, rest := pem.Decode(text)
	switch {
	case b == nil:
		return nil, fmt.Errorf("%w: no PEM block is in it", ErrKey)
	case b.Type != kind:
		return nil, fmt.Errorf("%w: it holds a %q, and a %q is wanted", ErrKey, b.Type, kind)
	case len(bytes.TrimSpace(rest)) > 0:
		return nil, fmt.Errorf("%w: something follows the first block", ErrKey)
	}
	return b.Bytes, nil
}

// ID names the key.
func (p *Public) ID() KeyID { return p.id }

// PEM is what ParsePublic reads.
func (p *Public) PEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: p.der})
}

// Public is the public half.
func (k *Private) Public() *Public { return k.public }

// PEM is what ParsePrivate reads. The caller keeps it secret: mode 0600.
func (k *Private) PEM() ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(k.key)
	if err != nil {
		return nil, fmt.Errorf("encode a key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

// signer and verifier are the keys as package dsse calls them.
type signer struct{ *Private }

func (s signer) Sign(_ context.Context, data []byte) ([]byte, error) {
	return ed25519.Sign(s.key, data), nil
}
func (s signer) KeyID() (string, error) { return s.public.id.String(), nil }

type verifier struct{ public *Public }

func (v verifier) Verify(_ context.Context, data, sig []byte) error {
	if !ed25519.Verify(v.public.key, data, sig) {
		return ErrSignature
	}
	return nil
}

// KeyID and Public tell package dsse which key this is.
func (v verifier) KeyID() (string, error)   { return v.public.id.String(), nil }
func (v verifier) Public() crypto.PublicKey { return v.public.key }
