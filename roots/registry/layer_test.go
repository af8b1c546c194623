package registry

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"testing"

	"ninefold/roots/layer"
	"ninefold/roots/pkg"
	"ninefold/roots/store"
)

// FuzzReadLayer reads layers that anybody may have made: one that is taken
// holds files of the record, each as the record has it.
func FuzzReadLayer(f *testing.F) {
	s, err := store.Open(f.TempDir())
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { s.Close() })
	texts := map[string]string{"usr/bin/one": "first", "usr/bin/two": "second, and longer"}
	p := &pkg.Package{Name: "one", Version: "1", Arch: "all", Entries: []pkg.Entry{{Path: "usr/bin", Kind: pkg.Dir, Mode: 0o755}}}
	for path, text := range texts {
		d, n, err := s.Put(f.Context(), bytes.NewReader([]byte(text)))
		if err != nil {
			f.Fatal(err)
		}
		p.Entries = append(p.Entries, pkg.Entry{Path: path, Kind: pkg.File, Mode: 0o755, MTime: 1, Size: n, Digest: d})
	}
	p.Entries = append(p.Entries, pkg.Entry{Path: "usr/bin/same", Kind: pkg.File, Mode: 0o755, Link: "usr/bin/one", Size: 5, Digest: sha256.Sum256([]byte("first"))})
	p.Sort()
	var b bytes.Buffer
	if err := layer.Write(f.Context(), s, p.Entries, &b); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Add(b.Bytes()[:len(b.Bytes())/2])
	f.Add(bytes.ReplaceAll(b.Bytes(), []byte("second"), []byte("zecond")))
	f.Add(append(bytes.Clone(b.Bytes()[:2048]), b.Bytes()...))
	f.Fuzz(func(t *testing.T, b []byte) {
		if readLayer(t.Context(), s, p, bytes.NewReader(b)) != nil {
			return
		}
		for r := tar.NewReader(bytes.NewReader(b)); ; {
			h, err := r.Next()
			if errors.Is(err, io.EOF) {
				return
			}
			if err != nil {
				t.Fatalf("a broken archive was taken: %v", err)
			}
			if h.Typeflag != tar.TypeReg {
				continue
			}
			if got, err := io.ReadAll(r); err != nil || string(got) != texts[h.Name] {
				t.Errorf("/%s with %q was taken: %v", h.Name, got, err)
			}
		}
	})
}
