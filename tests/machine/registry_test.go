package machine

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"ninefold/roots/registry/testregistry"
	"ninefold/tests/needs"
)

const (
	travelled = "registry.example:5000/steve/login:1"
	ownHost   = "192.0.2.1" // the maker's, and the registry's (RFC 5737)
)

// twoWords asks for two builders of each package.
const twoWords = `version = 1

[[rule]]
images = ["registry.example:5000/steve/*"]
attestations = 2
`

// TestAnImageTravels lets Debian 12 sign and push an image through a real
// registry, and Debian 13 pull it, look at who signed it, and log a user in on it.
func TestAnImageTravels(t *testing.T) {
	if os.Getenv(Inside) != "" {
		needs.Elsewhere(t, "one machine is not two")
	}
	Able(t, testregistry.Program, "ip")
	maker, taker := installed(t, "bookworm", Options{State: imagedState(t)}), installed(t, "trixie", Options{})
	server := joined(t, maker, taker)

	maker.Must("sh", "-c", "sessionctl key new steve >/run/steve.pub")
	maker.Must("sessionctl", "image", "tag", "login", travelled)
	maker.Must("sessionctl", "image", "sign", travelled, "--key", "steve")
	if r := maker.image("push", travelled); !r.OK() {
		t.Fatal(r)
	}

	taker.Write(profileDir+"imaged.toml", strings.ReplaceAll(imaged, `"login"`, `"`+travelled+`"`))
	taker.configure("[login]\ndefault = \"imaged\"\n")
	taker.onTheHost("an image that is not there")

	// The largest package is bad on the way, and then as it was.
	mend := spoil(t, largest(t, server))
	if r := taker.image("pull", travelled); r.Code != 5 {
		t.Errorf("a package that is bad on the way: %s", r)
	}
	taker.onTheHost("an image that came spoilt")
	mend()

	if r := taker.image("pull", travelled); r.Code != 5 || !strings.Contains(r.Stderr, "sign") {
		t.Errorf("nobody trusts who signed it: %s", r)
	}
	taker.onTheHost("an image whose signer nobody trusts")

	taker.Write("/run/steve.pub", maker.Must("cat", "/run/steve.pub")+"\n")
	taker.Must("sessionctl", "key", "trust", "steve", "/run/steve.pub", "--scope", "registry.example:5000/steve/*")
	taker.Write("/etc/ninefold/trust.toml", twoWords)
	if r := taker.image("pull", travelled); r.Code != 5 {
		t.Errorf("one of two builders vouches for it: %s", r)
	}
	taker.onTheHost("an image that one of two builders vouches for")

	// Somebody else who built the same adds a word to what lies there.
	taker.Write("/run/george.pub", maker.Must("sessionctl", "key", "new", "george")+"\n")
	taker.Must("sessionctl", "key", "trust", "george", "/run/george.pub", "--scope", "registry.example:5000/steve/*")
	maker.Must("sessionctl", "image", "sign", "login", "--key", "george", "--packages")
	if r := maker.image("push", travelled, "--signatures"); !r.OK() {
		t.Fatal(r)
	}
	if r := taker.image("pull", travelled); !r.OK() {
		t.Fatal(r)
	}
	if out := taker.Must("sessionctl", "image", "verify", travelled); !strings.Contains(out, "signed by george, steve") {
		t.Errorf("it does not say who signed it: %s", out)
	}
	taker.configured()
	if p := taker.probe(t, byName("ssh"), "bob"); p["marker"] != "imaged" || p["mnt"] == taker.hostNS() {
		t.Errorf("not in the image: %v", p)
	}
	if got, want := taker.idOf(travelled), maker.idOf("login"); got != want {
		t.Errorf("image %s was sent, and %s is there", want, got)
	}
	taker.gone("bob")

	besideAnInstaller(maker, taker)
	taker.configured()
	if p := taker.probe(t, byName("ssh"), "bob"); p["marker"] != "imaged" || p["mnt"] == taker.hostNS() {
		t.Errorf("not in the image that lay beside an installer: %v", p)
	}
}

// image is Run for work that may take minutes on a busy machine.
func (b *Booted) image(args ...string) Result {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, 5*time.Minute)
	defer cancel()
	return b.sane(b.Machine.Run(ctx, append([]string{"sessionctl", "image"}, args...)...))
}

// onTheHost logs in by a terminal, and wants to come out on the host, and be told why.
func (b *Booted) onTheHost(what string) {
	b.t.Helper()
	p, shown := b.look(b.t.(*testing.T), byName("login"), "bob")
	if p["mnt"] != b.hostNS() || strings.Count(shown, "ninefold: profile imaged: ") != 1 {
		b.t.Errorf("%s: %v, and it says: %s", what, p, shown)
	}
	b.gone("bob")
}

func byName(name string) Way {
	for _, w := range Ways {
		if w.Name == name {
			return w
		}
	}
	panic("no way of logging in is called " + name)
}

func (b *Booted) idOf(reference string) string {
	b.t.Helper()
	var shown struct{ ID string }
	if err := json.Unmarshal([]byte(b.Must("sessionctl", "image", "show", "--json", reference)), &shown); err != nil || shown.ID == "" {
		b.t.Fatalf("%s: %v", reference, err)
	}
	return shown.ID
}

// joined puts a cable between two machines, and starts a registry on the
// first, whose certificate both believe.
func joined(t *testing.T, maker, taker *Booted) *testregistry.Server {
	t.Helper()
	one, two := strconv.Itoa(maker.leader), strconv.Itoa(taker.leader)
	for _, args := range [][]string{
		{"ip", "link", "add", "cable", "netns", one, "type", "veth", "peer", "name", "cable", "netns", two},
		{"nsenter", "--target", one, "--net", "ip", "address", "add", ownHost + "/24", "dev", "cable"},
		{"nsenter", "--target", two, "--net", "ip", "address", "add", "192.0.2.2/24", "dev", "cable"},
		{"nsenter", "--target", one, "--net", "ip", "link", "set", "cable", "up"},
		{"nsenter", "--target", two, "--net", "ip", "link", "set", "cable", "up"},
	} {
		if err := host(t.Context(), args[0], args[1:]...); err != nil {
			t.Fatal(err)
		}
	}
	dir := t.TempDir()
	certificate, key := filepath.Join(dir, "certificate"), filepath.Join(dir, "key")
	authority(t, certificate, key)
	text, err := os.ReadFile(certificate)
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range []*Booted{maker, taker} {
		b.Write("/etc/ssl/certs/ca-certificates.crt", string(text))
		b.Must("sh", "-c", "echo "+ownHost+" registry.example >>/etc/hosts")
	}
	server, err := testregistry.Start(t.Context(), dir, testregistry.Options{Address: ownHost + ":5000", Certificate: certificate, Key: key,
		Before: []string{"nsenter", "--target", one, "--net", "--"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	return server
}

// authority makes a certificate for registry.example that stands for itself.
func authority(t *testing.T, certificate, key string) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "registry.example"}, DNSNames: []string{"registry.example"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), IsCA: true, BasicConstraintsValid: true}
	cert, err := x509.CreateCertificate(rand.Reader, c, c, k.Public(), k)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string]*pem.Block{certificate: {Type: "CERTIFICATE", Bytes: cert}, key: {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(name, pem.EncodeToMemory(b), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// largest returns the largest blob that a registry has.
func largest(t *testing.T, s *testregistry.Server) (name string) {
	t.Helper()
	found, err := s.Blobs()
	if err != nil {
		t.Fatal(err)
	}
	var size int64
	for _, f := range found {
		info, err := os.Stat(f)
		if err != nil {
			t.Fatal(err)
		}
		if info.Size() > size {
			name, size = f, info.Size()
		}
	}
	return name
}

// spoil changes a bit in the middle of a file; what it returns changes it back.
func spoil(t *testing.T, name string) (mend func()) {
	t.Helper()
	flip := func() {
		f, err := os.OpenFile(name, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		info, err := f.Stat()
		if err != nil {
			t.Fatal(err)
		}
		b := make([]byte, 1)
		if _, err := f.ReadAt(b, info.Size()/2); err != nil {
			t.Fatal(err)
		}
		b[0] ^= 1
		if _, err := f.WriteAt(b, info.Size()/2); err != nil {
			t.Fatal(err)
		}
	}
	flip()
	return flip
}
