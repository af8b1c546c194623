package trust

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"ninefold/roots/image"
	"ninefold/roots/pkg"
	"ninefold/roots/sign"
	"ninefold/roots/store"
)

// BenchmarkDesktop signs and checks an image of as many packages as a desktop
// with a browser has; a build of that takes some 20 seconds.
func BenchmarkDesktop(b *testing.B) {
	const packages = 757
	dir := b.TempDir()
	s, err := store.Open(filepath.Join(dir, "store"))
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	m := &image.Manifest{Version: image.Version, Name: "desktop"}
	for i := range packages {
		id, err := s.PutPackage(&pkg.Package{Name: fmt.Sprintf("p%d", i), Version: "1"})
		if err != nil {
			b.Fatal(err)
		}
		m.Packages = append(m.Packages, image.Ref{Name: fmt.Sprintf("p%d", i), Version: "1", Digest: id})
	}
	slices.SortFunc(m.Packages, func(x, y image.Ref) int { return bytes.Compare(x.Digest[:], y.Digest[:]) })
	id, err := s.PutPulled(m, store.Origin{References: []string{ref}})
	if err != nil {
		b.Fatal(err)
	}
	b.Run("sign", func(b *testing.B) {
		for range b.N {
			k, err := sign.Generate()
			if err != nil {
				b.Fatal(err)
			}
			b.StopTimer()
			if err := os.RemoveAll(filepath.Join(s.Dir(), "signatures")); err != nil {
				b.Fatal(err)
			}
			b.StartTimer()
			if _, err := Sign(b.Context(), s, k, id, Signing{Reference: ref, Created: now}); err != nil {
				b.Fatal(err)
			}
		}
	})
	k, err := sign.Generate()
	if err != nil {
		b.Fatal(err)
	}
	if _, err := Sign(b.Context(), s, k, id, Signing{Reference: ref, Created: now}); err != nil {
		b.Fatal(err)
	}
	for _, require := range []Require{RequireImage, RequirePackages} {
		p := &Policy{Keys: map[string]*Key{"k": {Name: "k", Public: k.Public(), Scopes: []string{"**"}, Kinds: kinds}},
			Rules: []Rule{{Images: []string{"**"}, Require: require, Attestations: 1}}}
		b.Run("check-"+string(require), func(b *testing.B) {
			for range b.N {
				if _, err := p.Check(b.Context(), s, ref, id, now); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
