package sign

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/secure-systems-lab/go-securesystemslib/dsse"

	"ninefold/roots/pkg"
)

// Bounds of an envelope.
const (
	// MaxEnvelope is in bytes.
	MaxEnvelope = 16 << 10
	// MaxSignatures is how many keys may sign one envelope.
	MaxSignatures = 8
)

// What callers tell apart.
var (
	// ErrEnvelope: it is not an envelope of the bounds above.
	ErrEnvelope = errors.New("not a signature envelope")
	// ErrStatement: the envelope holds no statement of ours.
	ErrStatement = errors.New("not a statement about a package, an image or a tag")
	// ErrUnknown: a newer program, or another one, made the statement.
	ErrUnknown = errors.New("a statement that this program does not know")
	// ErrSignature: the signature is not the key's over this content.
	ErrSignature = errors.New("the signature is wrong")
)

// Seal signs a statement. The same statement and keys give the same bytes
// (Ed25519 needs no randomness), so that signing twice adds nothing.
func Seal(s *Statement, keys ...*Private) ([]byte, error) {
	payload, err := s.encode()
	if err != nil {
		return nil, err
	}
	var signers []dsse.Signer
	for _, k := range keys {
		signers = append(signers, signer{k})
	}
	all, err := dsse.NewEnvelopeSigner(signers...)
	if err != nil {
		return nil, fmt.Errorf("sign %s %s: %w", s.Kind, s.Subject.Short(), err)
	}
	e, err := all.SignPayload(context.Background(), payloadType, payload)
	if err != nil {
		return nil, fmt.Errorf("sign %s %s: %w", s.Kind, s.Subject.Short(), err)
	}
	return json.Marshal(e)
}

// Envelope is an envelope that was read, of which nothing is proven.
type Envelope struct {
	e         dsse.Envelope
	statement *Statement
	claimed   []KeyID
}

// Parse reads an envelope. It does not look whether a signature is right:
// Signers does.
func Parse(b []byte) (*Envelope, error) {
	if len(b) > MaxEnvelope {
		return nil, fmt.Errorf("%w: it has %d bytes, at most %d are read", ErrEnvelope, len(b), MaxEnvelope)
	}
	out := &Envelope{}
	if err := json.Unmarshal(b, &out.e); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrEnvelope, err)
	}
	if out.e.PayloadType != payloadType {
		return nil, fmt.Errorf("%w: its content is of type %.80q", ErrEnvelope, out.e.PayloadType)
	}
	if n := len(out.e.Signatures); n == 0 || n > MaxSignatures {
		return nil, fmt.Errorf("%w: it has %d signatures, and 1 to %d are read", ErrEnvelope, n, MaxSignatures)
	}
	payload, err := out.e.DecodeB64Payload()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrEnvelope, err)
	}
	for _, s := range out.e.Signatures {
		// The id finds the key; without one every key would have to be tried.
		id, err := pkg.ParseDigest(s.KeyID)
		if err != nil || slices.Contains(out.claimed, id) {
			return nil, fmt.Errorf("%w: the key id %.80q is not the sha256 of a key, or is there twice", ErrEnvelope, s.KeyID)
		}
		out.claimed = append(out.claimed, id)
	}
	out.statement, err = decode(payload)
	return out, err
}

// Claimed are the keys that the envelope says it was signed with.
func (e *Envelope) Claimed() []KeyID { return e.claimed }

// Claim is what the envelope says. It proves nothing: see Signers.
func (e *Envelope) Claim() *Statement { return e.statement }

// Signers returns those of keys that signed the statement, each once, and the
// statement. The error wraps ErrSignature when none of them did, and
// ErrUnsigned when the envelope does not even name one of them.
func (e *Envelope) Signers(keys ...*Public) ([]KeyID, *Statement, error) {
	var verifiers []dsse.Verifier
	for i, k := range keys {
		named := slices.Contains(e.claimed, k.id)
		again := slices.ContainsFunc(keys[:i], func(o *Public) bool { return o.id == k.id })
		if named && !again {
			verifiers = append(verifiers, verifier{k})
		}
	}
	if len(verifiers) == 0 {
		return nil, nil, ErrUnsigned
	}
	v, err := dsse.NewMultiEnvelopeVerifier(1, verifiers...)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrSignature, err)
	}
	accepted, err := v.Verify(context.Background(), &e.e)
	if err != nil || len(accepted) == 0 {
		return nil, nil, ErrSignature
	}
	var ids []KeyID
	for _, a := range accepted {
		id, err := pkg.ParseDigest(a.KeyID)
		if err != nil {
			return nil, nil, fmt.Errorf("%w: %w", ErrSignature, err)
		}
		ids = append(ids, id)
	}
	return ids, e.statement, nil
}

// ErrUnsigned says that none of the keys is named by the envelope.
var ErrUnsigned = errors.New("no signature by one of these keys")
