package finish

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"fmt"
	"math/big"
	"slices"
	"testing"
	"time"
)

func subject(t *testing.T, name pkix.Name) []byte {
	t.Helper()
	b, err := asn1.Marshal(name.ToRDNSequence())
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The hashes are those that every OpenSSL directory has for these names.
func TestNameHashIsOpenSSLs(t *testing.T) {
	for want, name := range map[uint32]pkix.Name{
		0x4042bcee: {Country: []string{"US"}, Organization: []string{"Internet Security Research Group"}, CommonName: "ISRG Root X1"},
		0x607986c7: {Country: []string{"US"}, Organization: []string{"DigiCert Inc"}, OrganizationalUnit: []string{"www.digicert.com"}, CommonName: "DigiCert Global Root G2"},
	} {
		got, err := nameHash(subject(t, name))
		if err != nil || got != want {
			t.Errorf("%s: %08x, %v, want %08x", name.CommonName, got, err, want)
		}
	}
}

func TestNameHashFoldsCaseAndBlanks(t *testing.T) {
	a, err1 := nameHash(subject(t, pkix.Name{CommonName: "Some  Root "}))
	b, err2 := nameHash(subject(t, pkix.Name{CommonName: "some root"}))
	if a != b || err1 != nil || err2 != nil {
		t.Errorf("%08x, %v and %08x, %v", a, err1, b, err2)
	}
}

func certificate(t *testing.T, cn string, serial int64) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: cn}, NotAfter: time.Unix(1<<32, 0)}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

func TestCertificates(t *testing.T) {
	a, b := certificate(t, "Root", 1), certificate(t, "Root", 2)
	v := newTree(t, "usr/share/ca-certificates/mozilla/A_(x).crt = "+a, "usr/share/ca-certificates/mozilla/B.crt = "+b)
	run(t, v, "certificates", Params{})
	if got := read(t, v, "etc/ssl/certs/ca-certificates.crt"); got != a+b {
		t.Errorf("the bundle is\n%s", got)
	}
	h, _ := subjectHash([]byte(a))
	want := []string{fmt.Sprintf("%08x.0", h), fmt.Sprintf("%08x.1", h), "A_=x=.pem", "B.pem", "ca-certificates.crt"}
	slices.Sort(want)
	if got := v.Names("etc/ssl/certs"); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := read(t, v, fmt.Sprintf("etc/ssl/certs/%08x.1", h)); got != b {
		t.Error("the second hash link does not lead to the second certificate")
	}
}
