package debian

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/clearsign"
	pgperrors "github.com/ProtonMail/go-crypto/openpgp/errors"
	"github.com/ProtonMail/go-crypto/openpgp/packet"

	"ninefold/internal/regular"
)

const (
	maxKeyring    = 16 << 20
	maxSignatures = 32
)

// Keyring is the keys that an archive is believed by.
type Keyring struct {
	keys openpgp.EntityList
	from []string
}

// defaultKeyrings is where Debian's keys are, best first, relative to the
// root of the machine.
func defaultKeyrings(root string) []string {
	one := filepath.Join(root, "usr/share/keyrings/debian-archive-keyring.gpg")
	if _, err := os.Stat(one); err == nil {
		return []string{one}
	}
	var out []string
	for _, pattern := range []string{"etc/apt/trusted.gpg.d/*.gpg", "etc/apt/trusted.gpg.d/*.asc"} {
		names, _ := filepath.Glob(filepath.Join(root, pattern))
		out = append(out, names...)
	}
	slices.Sort(out)
	return out
}

// LoadKeyring reads keyring files, OpenPGP binary or armored. Having not one
// usable key is ErrNoKeyring.
func LoadKeyring(paths ...string) (*Keyring, error) {
	k := &Keyring{}
	for _, path := range paths {
		data, err := regular.Read(path, maxKeyring)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("%w: %s is not there; install debian-archive-keyring or name another keyring in [source]", ErrNoKeyring, path)
		}
		if err != nil {
			return nil, fmt.Errorf("read keyring: %w", err)
		}
		if err := k.add(path, data); err != nil {
			return nil, err
		}
	}
	if len(k.keys) == 0 {
		return nil, fmt.Errorf("%w: install debian-archive-keyring or name a keyring in [source]", ErrNoKeyring)
	}
	return k, nil
}

func (k *Keyring) add(from string, data []byte) error {
	k.from = append(k.from, from)
	if !bytes.HasPrefix(bytes.TrimSpace(data), []byte("-----BEGIN")) {
		keys, err := openpgp.ReadKeyRing(bytes.NewReader(data))
		if err != nil {
			return fmt.Errorf("%w: read %s: %w", ErrNoKeyring, from, err)
		}
		k.keys = append(k.keys, keys...)
		return nil
	}
	// An .asc file may hold several blocks one after the other.
	for rest := bytes.NewReader(data); ; {
		block, err := armor.Decode(rest)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%w: read %s: %w", ErrNoKeyring, from, err)
		}
		keys, err := openpgp.ReadKeyRing(block.Body)
		if err != nil {
			return fmt.Errorf("%w: read %s: %w", ErrNoKeyring, from, err)
		}
		k.keys = append(k.keys, keys...)
	}
}

// verify returns the signed text of a clearsigned file and the fingerprints,
// sorted, of the keys whose signature held. At least one has to hold, and no
// signature by a known key may be bad. The file must hold nothing but the
// signed message, so that nobody reads what nobody signed.
func (k *Keyring) verify(file []byte, now time.Time) (text string, signedBy []string, err error) {
	if !bytes.HasPrefix(file, []byte("-----BEGIN PGP SIGNED MESSAGE-----")) {
		return "", nil, fmt.Errorf("%w: it is not a signed file", ErrBadSignature)
	}
	block, rest := clearsign.Decode(file)
	if block == nil || len(bytes.TrimSpace(rest)) > 0 {
		return "", nil, fmt.Errorf("%w: it is cut off, or has text after the signature", ErrBadSignature)
	}
	config := &packet.Config{Time: func() time.Time { return now }}
	signatures := packet.NewOpaqueReader(block.ArmoredSignature.Body)
	var unknown []string
	var expired error
	for n := 0; ; n++ {
		p, err := signatures.Next()
		if err == io.EOF {
			break
		}
		if err != nil || n >= maxSignatures {
			return "", nil, fmt.Errorf("%w: the signature is malformed", ErrBadSignature)
		}
		var one bytes.Buffer
		if err := p.Serialize(&one); err != nil {
			return "", nil, fmt.Errorf("%w: the signature is malformed: %w", ErrBadSignature, err)
		}
		id := issuer(one.Bytes())
		sig, signer, err := openpgp.VerifyDetachedSignature(k.keys, bytes.NewReader(block.Bytes), &one, config)
		switch {
		case err == nil:
			if print := signingKey(sig, signer); !slices.Contains(signedBy, print) {
				signedBy = append(signedBy, print)
			}
		case errors.Is(err, pgperrors.ErrUnknownIssuer):
			unknown = append(unknown, id)
		case errors.Is(err, pgperrors.ErrKeyExpired), errors.Is(err, pgperrors.ErrSignatureExpired):
			expired = fmt.Errorf("%w: key %s: %w", ErrExpired, id, err)
		default:
			return "", nil, fmt.Errorf("%w by key %s: %w", ErrBadSignature, id, err)
		}
	}
	switch {
	case len(signedBy) > 0:
		slices.Sort(signedBy)
		return strings.ReplaceAll(string(block.Bytes), "\r\n", "\n"), signedBy, nil
	case expired != nil:
		return "", nil, expired
	case len(unknown) > 0:
		return "", nil, fmt.Errorf("%w: it is signed by %s, which is not in %s; a newer debian-archive-keyring may have it",
			ErrUnknownKey, strings.Join(unknown, ", "), strings.Join(k.from, ", "))
	}
	return "", nil, fmt.Errorf("%w: it holds no signature", ErrBadSignature)
}

func signingKey(sig *packet.Signature, signer *openpgp.Entity) string {
	if len(sig.IssuerFingerprint) > 0 {
		return strings.ToUpper(hex.EncodeToString(sig.IssuerFingerprint))
	}
	return strings.ToUpper(hex.EncodeToString(signer.PrimaryKey.Fingerprint))
}

// issuer names the key of a signature packet for messages.
func issuer(raw []byte) string {
	p, err := packet.Read(bytes.NewReader(raw))
	if sig, ok := p.(*packet.Signature); err == nil && ok && sig.IssuerKeyId != nil {
		return fmt.Sprintf("%016X", *sig.IssuerKeyId)
	}
	return "unknown"
}
