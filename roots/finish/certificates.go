package finish

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"path"
	"slices"
	"strings"

	"ninefold/roots/pkg"
)

const (
	caDir      = "usr/share/ca-certificates"
	caLocalDir = "usr/local/share/ca-certificates"
	certsDir   = "etc/ssl/certs"
	caBundle   = "ca-certificates.crt"
)

// certificatesStep trusts every certificate of ca-certificates, as
// update-ca-certificates does on a new system: the bundle, a link per
// certificate, and OpenSSL's links by subject hash.
var certificatesStep = step{
	name: "certificates", summary: "the CA bundle and hash links of /etc/ssl/certs", revision: 1, machine: true,
	reads: func(v *View, _ *Params) inputs {
		c := collect(v)
		crt := func(e *pkg.Entry) bool { return strings.HasSuffix(e.Path, ".crt") }
		c.below(caDir, crt)
		c.below(caLocalDir, crt)
		return c.inputs()
	},
	do: func(j *job) error {
		var conf, bundle bytes.Buffer
		conf.WriteString("# One certificate a line, below /usr/share/ca-certificates; a line that\n# starts with ! is not trusted.\n")
		hashes := map[string]int{}
		for _, dir := range []string{caDir, caLocalDir} {
			for _, p := range certificateFiles(j.view, dir) {
				text, err := j.view.Read(p)
				if err != nil {
					return err
				}
				if dir == caDir {
					conf.WriteString(strings.TrimPrefix(p, dir+"/") + "\n")
				}
				bundle.Write(bytes.TrimRight(text, "\n"))
				bundle.WriteByte('\n')
				name := certificateName(p)
				j.out.link(path.Join(certsDir, name), "/"+p)
				hash, err := subjectHash(text)
				if err != nil {
					return fmt.Errorf("/%s: %w", p, err)
				}
				j.out.link(fmt.Sprintf("%s/%08x.%d", certsDir, hash, hashes[fmt.Sprint(hash)]), name)
				hashes[fmt.Sprint(hash)]++
			}
		}
		if err := j.out.file("etc/ca-certificates.conf", 0o644, conf.Bytes()); err != nil {
			return err
		}
		return j.out.file(path.Join(certsDir, caBundle), 0o644, bundle.Bytes())
	},
}

func certificateFiles(v *View, dir string) []string {
	var list []string
	for e := range v.Below(dir) {
		if t, ok := v.Stat(e.Path); ok && t.Kind == pkg.File && strings.HasSuffix(e.Path, ".crt") {
			list = append(list, e.Path)
		}
	}
	slices.Sort(list)
	return list
}

var certificateNames = strings.NewReplacer(" ", "_", "(", "=", ")", "=", ",", "_")

func certificateName(p string) string {
	return certificateNames.Replace(strings.TrimSuffix(path.Base(p), ".crt")) + ".pem"
}

// subjectHash is OpenSSL's X509_NAME_hash of the first certificate in text.
func subjectHash(text []byte) (uint32, error) {
	block, _ := pem.Decode(text)
	if block == nil || block.Type != "CERTIFICATE" {
		return 0, fmt.Errorf("holds no PEM certificate")
	}
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return 0, err
	}
	return nameHash(c.RawSubject)
}
