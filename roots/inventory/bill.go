package inventory

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"ninefold/roots/image"
	"ninefold/roots/lock"
	"ninefold/roots/pkg"
	"ninefold/roots/store"
)

// Bill is what an image is made of.
type Bill struct {
	// Name is how the image was asked for.
	Name string
	ID   image.ID
	// Date is that of the newest archive that a package came from, in seconds
	// since the epoch; 0 when that is not known.
	Date int64
	// Parts are the packages of the chain, sorted by name and digest, each once.
	// What finishing steps made is not among them: it is derived from them.
	Parts []Part
}

// Part is one package of a Bill.
type Part struct {
	Name, Version, Arch string
	// Digest names the plain package, By the image that brought it in.
	Digest pkg.Digest
	By     string
	// Deb is set for a Debian package, SHA256 when the hash of its .deb is
	// known, too; URL and Suite are where the archive has it.
	Deb        bool
	SHA256     pkg.Digest
	URL, Suite string
}

// Billed reads what image id is made of. Hashes and sources come from the locks
// that its images were built from; a lock that is not among locks leaves them out.
func Billed(ctx context.Context, s *store.Store, name string, id image.ID, locks map[pkg.Digest]*lock.Lock) (*Bill, error) {
	chain, err := s.Chain(id)
	if err != nil {
		return nil, err
	}
	built, err := s.Built(ctx, chain)
	if err != nil {
		return nil, err
	}
	b := &Bill{Name: name, ID: id}
	have := map[pkg.Digest]bool{}
	for _, i := range built {
		l := locks[i.Manifest.Lock]
		if l != nil {
			b.Date = max(b.Date, l.Date())
		}
		for k, p := range i.Packages {
			if d := i.Manifest.Packages[k].Digest; !have[d] {
				have[d] = true
				part := Part{Name: p.Name, Version: p.Version, Arch: p.Arch, Digest: d, By: i.Manifest.Name}
				part.source(p, l)
				b.Parts = append(b.Parts, part)
			}
		}
	}
	slices.SortFunc(b.Parts, func(x, y Part) int {
		if c := strings.Compare(x.Name, y.Name); c != 0 {
			return c
		}
		return slices.Compare(x.Digest[:], y.Digest[:])
	})
	return b, nil
}

// source fills in where p comes from. Without its lock a package is taken for a
// Debian one when it has what each of those has (Debian policy 12.5).
func (p *Part) source(from *pkg.Package, l *lock.Lock) {
	if l == nil {
		p.Deb = from.Entry("usr/share/doc/"+from.Name) != nil
		return
	}
	at := slices.IndexFunc(l.Packages, func(q lock.Package) bool {
		return q.Name == p.Name && q.Version == p.Version && q.Arch == p.Arch
	})
	if at < 0 {
		return
	}
	q := l.Packages[at]
	p.Deb, p.SHA256, p.Suite = true, q.SHA256, l.Source.Suite
	p.URL = public(l.Source.Mirror, q.URL)
}

// public is where anybody gets a file of an archive, "" when that is a directory
// of the machine that built the image. Credentials of the mirror are left out.
func public(mirror, file string) string {
	u, err := url.Parse(file)
	if err == nil && !u.IsAbs() {
		u, err = url.Parse(strings.TrimSuffix(mirror, "/") + "/" + file)
	}
	if err != nil || u.Scheme != "http" && u.Scheme != "https" {
		return ""
	}
	u.User = nil
	return u.String()
}

// Identifier is the package URL of a part: ECMA-427, and the deb type of
// https://github.com/package-url/purl-spec.
func (p *Part) Identifier() string {
	kind := "generic/"
	if p.Deb {
		kind = "deb/debian/"
	}
	out := "pkg:" + kind + escape(p.Name)
	if p.Version != "" {
		out += "@" + escape(p.Version)
	}
	var qualifiers []string // sorted by key
	if p.Arch != "" {
		qualifiers = append(qualifiers, "arch="+escape(p.Arch))
	}
	if p.Suite != "" {
		qualifiers = append(qualifiers, "distro="+escape(p.Suite))
	}
	if len(qualifiers) > 0 {
		out += "?" + strings.Join(qualifiers, "&")
	}
	return out
}

// escape encodes each byte but those that a package URL has as they are.
func escape(s string) string {
	var b strings.Builder
	for _, c := range []byte(s) {
		if plain(string(rune(c)), "-._~:") {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

// uuid names the bill by its content (RFC 9562, version 8), so that equal bills
// are equal files.
func (b *Bill) uuid(format string) (string, error) {
	text, err := json.Marshal(b)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(append([]byte(format+"\n"), text...))
	sum[6] = sum[6]&0x0f | 0x80
	sum[8] = sum[8]&0x3f | 0x80
	h := hex.EncodeToString(sum[:16])
	return "urn:uuid:" + strings.Join([]string{h[:8], h[8:12], h[12:16], h[16:20], h[20:]}, "-"), nil
}

func (b *Bill) created() string { return time.Unix(b.Date, 0).UTC().Format(time.RFC3339) }
