package sign

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ninefold/roots/pkg"
	"ninefold/tests/needs"
)

func newKey(t testing.TB) *Private {
	t.Helper()
	k, err := Generate()
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func seal(t testing.TB, s *Statement, keys ...*Private) []byte {
	t.Helper()
	b, err := Seal(s, keys...)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

var digest = pkg.Digest(sha256.Sum256([]byte("a package")))

func samples(t testing.TB) []*Statement {
	next := newKey(t).Public()
	return []*Statement{
		{Kind: Package, Name: "bash 5.2", Subject: digest},
		{Kind: Image, Name: "gaming", Subject: digest},
		{Kind: Tag, Name: "steve/gaming:2026-11", Subject: digest, Tag: &TagInfo{Version: 3, Created: time.Unix(1e9, 0).UTC(), Expires: time.Unix(2e9, 0).UTC()}},
		{Kind: Tag, Name: "gaming", Subject: digest, Tag: &TagInfo{Version: 1, Created: time.Unix(1e9, 0).UTC()}},
		{Kind: Successor, Name: "steve", Subject: next.ID(), Key: next},
	}
}

func TestWhatIsSignedIsRead(t *testing.T) {
	a, b, other := newKey(t), newKey(t), newKey(t)
	for _, want := range samples(t) {
		text := seal(t, want, a, b)
		if again := seal(t, want, a, b); !bytes.Equal(text, again) {
			t.Errorf("%s: signing twice gives two envelopes", want.Kind)
		}
		e, err := Parse(text)
		if err != nil {
			t.Fatalf("%s: %v", want.Kind, err)
		}
		who, got, err := e.Signers(other.Public(), b.Public(), a.Public(), a.Public())
		if err != nil || len(who) != 2 {
			t.Fatalf("%s: signers %v, %v; want two", want.Kind, who, err)
		}
		if got.Kind != want.Kind || got.Name != want.Name || got.Subject != want.Subject || want.Tag != nil && *got.Tag != *want.Tag ||
			want.Key != nil && got.Key.ID() != want.Key.ID() {
			t.Errorf("read %+v, want %+v", got, want)
		}
		if _, _, err := e.Signers(other.Public()); !errors.Is(err, ErrUnsigned) {
			t.Errorf("%s: another key: %v, want ErrUnsigned", want.Kind, err)
		}
	}
}

func TestFlippedBits(t *testing.T) {
	k := newKey(t)
	for _, s := range samples(t) {
		text := seal(t, s, k)
		for i := range text {
			for bit := range 8 {
				changed := bytes.Clone(text)
				changed[i] ^= 1 << bit
				e, err := Parse(changed)
				if err != nil {
					continue
				}
				if _, got, err := e.Signers(k.Public()); err == nil {
					if again, err := got.encode(); err != nil || !bytes.Equal(again, mustEncode(t, s)) {
						t.Fatalf("byte %d bit %d: the signature holds over %+v (%v)", i, bit, got, err)
					}
				}
			}
		}
	}
}

func mustEncode(t *testing.T, s *Statement) []byte {
	b, err := s.encode()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// A signature over one thing says nothing of another, though the key is the same.
func TestSignatureIsBoundToItsStatement(t *testing.T) {
	k := newKey(t)
	all := samples(t)
	one, err := Parse(seal(t, all[0], k))
	if err != nil {
		t.Fatal(err)
	}
	two, err := Parse(seal(t, all[1], k))
	if err != nil {
		t.Fatal(err)
	}
	one.e.Signatures = two.e.Signatures
	if _, _, err := one.Signers(k.Public()); !errors.Is(err, ErrSignature) {
		t.Errorf("the signature of another statement: %v, want ErrSignature", err)
	}
}

func TestWhatCannotBeSigned(t *testing.T) {
	k := newKey(t)
	now := time.Unix(1e9, 0).UTC()
	for name, s := range map[string]*Statement{
		"no kind":           {Subject: digest},
		"no subject":        {Kind: Image},
		"tag without info":  {Kind: Tag, Name: "a", Subject: digest},
		"image with info":   {Kind: Image, Subject: digest, Tag: &TagInfo{Version: 1, Created: now}},
		"version 0":         {Kind: Tag, Name: "a", Subject: digest, Tag: &TagInfo{Created: now}},
		"no reference":      {Kind: Tag, Name: "A b", Subject: digest, Tag: &TagInfo{Version: 1, Created: now}},
		"reference@digest":  {Kind: Tag, Name: "a@sha256:" + digest.String(), Subject: digest, Tag: &TagInfo{Version: 1, Created: now}},
		"local time":        {Kind: Tag, Name: "a", Subject: digest, Tag: &TagInfo{Version: 1, Created: now.In(time.FixedZone("x", 60))}},
		"another successor": {Kind: Successor, Subject: digest, Key: k.Public()},
		"long name":         {Kind: Image, Name: strings.Repeat("a", maxName+1), Subject: digest},
	} {
		if _, err := Seal(s, k); !errors.Is(err, ErrStatement) {
			t.Errorf("%s: %v, want ErrStatement", name, err)
		}
	}
	if _, err := Seal(samples(t)[0]); err == nil {
		t.Error("signed without a key")
	}
}

func TestKeyFiles(t *testing.T) {
	k := newKey(t)
	text, err := k.PEM()
	if err != nil {
		t.Fatal(err)
	}
	again, err := ParsePrivate(text)
	if err != nil || again.Public().ID() != k.Public().ID() {
		t.Fatalf("private key: %v", err)
	}
	public, err := ParsePublic(k.Public().PEM())
	if err != nil || public.ID() != k.Public().ID() {
		t.Fatalf("public key: %v", err)
	}
	for name, bad := range map[string][]byte{
		"empty": nil, "no PEM": []byte("hello"), "twice": append(k.Public().PEM(), k.Public().PEM()...),
		"private": text, "large": bytes.Repeat([]byte("a"), maxPEM+1),
		"cut": k.Public().PEM()[:60],
	} {
		if _, err := ParsePublic(bad); !errors.Is(err, ErrKey) {
			t.Errorf("public key, %s: %v, want ErrKey", name, err)
		}
	}
	if _, err := ParsePrivate(k.Public().PEM()); !errors.Is(err, ErrKey) {
		t.Errorf("a public key as private one: %v", err)
	}
}

// The files are openssl's too, in both directions, and so are the ids.
func TestKeysAreOpenSSLs(t *testing.T) {
	const openssl = "openssl"
	needs.Programs(t, openssl)
	dir := t.TempDir()
	run := func(args ...string) []byte {
		out, err := exec.Command(openssl, args...).Output()
		if err != nil {
			t.Fatalf("openssl %q: %v", args, err)
		}
		return out
	}
	k := newKey(t)
	text, err := k.PEM()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "key")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	if out := run("pkey", "-in", file, "-pubout"); !bytes.Equal(out, k.Public().PEM()) {
		t.Errorf("openssl finds the public key\n%s", out)
	}
	if KeyID(sha256.Sum256(run("pkey", "-in", file, "-pubout", "-outform", "DER"))) != k.Public().ID() {
		t.Error("the id is not the sha256 of openssl's DER")
	}
	theirs, err := ParsePrivate(run("genpkey", "-algorithm", "ed25519"))
	if err != nil || theirs.Public().ID().IsZero() {
		t.Errorf("openssl's key: %v", err)
	}
	if _, err := ParsePrivate(run("genpkey", "-algorithm", "x25519")); !errors.Is(err, ErrKey) {
		t.Errorf("a key of another algorithm: %v, want ErrKey", err)
	}
}

func FuzzParse(f *testing.F) {
	k := newKey(f)
	for _, s := range samples(f) {
		f.Add(seal(f, s, k))
	}
	f.Add([]byte(`{"payloadType":"application/vnd.in-toto+json","payload":"e30=","signatures":[{"keyid":"","sig":""}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := Parse(b)
		if err != nil {
			return
		}
		if err := e.Claim().check(); err != nil {
			t.Fatalf("read what cannot be signed: %v", err)
		}
		if _, _, err := e.Signers(newKey(t).Public()); err == nil {
			t.Fatal("a new key has signed it")
		}
	})
}

func FuzzParsePublic(f *testing.F) {
	f.Add(newKey(f).Public().PEM())
	f.Fuzz(func(t *testing.T, b []byte) {
		if p, err := ParsePublic(b); err == nil {
			if again, err := ParsePublic(p.PEM()); err != nil || again.ID() != p.ID() {
				t.Fatalf("the key does not come back: %v", err)
			}
		}
	})
}
