package testrepo

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/clearsign"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
)

// Repository is an archive on disk. Its fields may be changed between one
// Publish and the next.
type Repository struct {
	Dir     string // the mirror's directory
	Keyring string // the public key, binary
	Armored string // the same, armored
	Suite   string
	Arch    string
	Date    time.Time
	// ValidUntil is left out when zero.
	ValidUntil time.Time
	// Signers sign InRelease; the first one's public key is in Keyring.
	Signers []*openpgp.Entity
}

// New makes an archive of one suite with the component main in a temporary
// directory. arch is Debian's name of the machine's architecture.
func New(t testing.TB, suite, arch string, debs ...Deb) *Repository {
	t.Helper()
	dir := t.TempDir()
	r := &Repository{
		Dir: filepath.Join(dir, "debian"), Keyring: filepath.Join(dir, "key.gpg"), Armored: filepath.Join(dir, "key.asc"),
		Suite: suite, Arch: arch, Date: time.Now().Add(-time.Hour), Signers: []*openpgp.Entity{NewKey(t)},
	}
	var raw bytes.Buffer
	if err := r.Signers[0].Serialize(&raw); err != nil {
		t.Fatal(err)
	}
	write(t, r.Keyring, raw.Bytes())
	var text bytes.Buffer
	w, err := armor.Encode(&text, openpgp.PublicKeyType, nil)
	if err != nil {
		t.Fatal(err)
	}
	w.Write(raw.Bytes())
	w.Close()
	write(t, r.Armored, text.Bytes())
	r.Publish(t, debs...)
	return r
}

// NewKey makes a signing key.
func NewKey(t testing.TB) *openpgp.Entity {
	t.Helper()
	e, err := openpgp.NewEntity("Test", "", "test@example.org", &packet.Config{
		Algorithm: packet.PubKeyAlgoEdDSA,
		Time:      func() time.Time { return time.Now().Add(-24 * time.Hour) },
	})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// URL is the archive's address as a file URL.
func (r *Repository) URL() string { return "file://" + r.Dir }

// Serve offers the archive over HTTP until the test ends and returns its
// address. wrap, when not nil, may change the answers.
func (r *Repository) Serve(t testing.TB, wrap func(http.Handler) http.Handler) string {
	t.Helper()
	var h http.Handler = http.FileServer(http.Dir(r.Dir))
	if wrap != nil {
		h = wrap(h)
	}
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}

// Publish replaces the archive's content. Files of former packages leave the
// pool, as they do in a mirror that moves on.
func (r *Repository) Publish(t testing.TB, debs ...Deb) {
	t.Helper()
	for _, d := range []string{"pool", "dists"} {
		if err := os.RemoveAll(filepath.Join(r.Dir, d)); err != nil {
			t.Fatal(err)
		}
	}
	var index bytes.Buffer
	for _, d := range debs {
		data := d.Build(t)
		write(t, filepath.Join(r.Dir, d.FileName()), data)
		fmt.Fprintf(&index, "%sFilename: %s\nSize: %d\nSHA256: %x\n\n", d.paragraph(), d.FileName(), len(data), sha256.Sum256(data))
	}
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	z.Write(index.Bytes())
	z.Close()
	r.sign(t, map[string][]byte{"Packages": index.Bytes(), "Packages.gz": packed.Bytes()})
}

func (r *Repository) sign(t testing.TB, indices map[string][]byte) {
	t.Helper()
	dir := filepath.Join(r.Dir, "dists", r.Suite)
	binary := "main/binary-" + r.Arch
	var b strings.Builder
	fmt.Fprintf(&b, "Origin: Test\nSuite: stable\nCodename: %s\nDate: %s\n", r.Suite, r.Date.UTC().Format(time.RFC1123))
	if !r.ValidUntil.IsZero() {
		fmt.Fprintf(&b, "Valid-Until: %s\n", r.ValidUntil.UTC().Format(time.RFC1123))
	}
	fmt.Fprintf(&b, "Acquire-By-Hash: yes\nArchitectures: %s\nComponents: main\nSHA256:\n", r.Arch)
	for _, name := range []string{"Packages", "Packages.gz"} {
		data := indices[name]
		sum := sha256.Sum256(data)
		write(t, filepath.Join(dir, binary, name), data)
		write(t, filepath.Join(dir, binary, "by-hash/SHA256", fmt.Sprintf("%x", sum)), data)
		fmt.Fprintf(&b, " %x %d %s/%s\n", sum, len(data), binary, name)
	}
	var out bytes.Buffer
	var keys []*packet.PrivateKey
	for _, s := range r.Signers {
		keys = append(keys, s.PrivateKey)
	}
	w, err := clearsign.EncodeMulti(&out, keys, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte(b.String())); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "InRelease"), out.Bytes())
}

func write(t testing.TB, path string, data []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
}
