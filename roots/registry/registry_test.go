package registry

import (
	"bytes"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	embedded "github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"ninefold/roots/image"
	"ninefold/roots/pkg"
	"ninefold/roots/store"
)

func open(t *testing.T) *store.Store {
	t.Helper()
	s, err := store.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func addPackage(t *testing.T, s *store.Store, name, path, content string) image.Ref {
	t.Helper()
	d, n, err := s.Put(t.Context(), strings.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	id, err := s.PutPackage(&pkg.Package{Name: name, Version: "1", Arch: "all", Entries: []pkg.Entry{
		{Path: path, Kind: pkg.File, Mode: 0o755, MTime: 1, Size: n, Digest: d},
		{Path: path + ".link", Kind: pkg.Symlink, Mode: 0o777, MTime: 1, Target: "/" + path},
	}})
	if err != nil {
		t.Fatal(err)
	}
	return image.Ref{Name: name, Version: "1", Digest: id}
}

func addImage(t *testing.T, s *store.Store, parent image.ID, refs ...image.Ref) image.ID {
	t.Helper()
	if len(refs) == 2 && bytes.Compare(refs[0].Digest[:], refs[1].Digest[:]) > 0 {
		refs[0], refs[1] = refs[1], refs[0]
	}
	id, err := s.PutImage(&image.Manifest{Version: image.Version, Name: "test", Parent: parent, Packages: refs, Environment: map[string]string{"A": "b"}})
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// serve starts a registry behind change and returns its host.
func serve(t *testing.T, change func(http.Handler) http.Handler) string {
	t.Helper()
	var h http.Handler = embedded.New(embedded.Logger(log.New(io.Discard, "", 0)))
	if change != nil {
		h = change(h)
	}
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://")
}

func TestAnImageTravelsWithItsChain(t *testing.T) {
	var layers, blobs atomic.Int64
	host := serve(t, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.Contains(r.URL.Path, "/blobs/") && r.Method == http.MethodGet {
				blobs.Add(1)
			}
			if strings.Contains(r.URL.Path, "/blobs/uploads/") && r.Method == http.MethodPost {
				layers.Add(1)
			}
			next.ServeHTTP(w, r)
		})
	})
	from, to := open(t), open(t)
	base := addImage(t, from, image.ID{}, addPackage(t, from, "one", "usr/bin/one", "first"), addPackage(t, from, "two", "usr/bin/two", strings.Repeat("x", 1<<20)))
	ref := host + "/steve/base:1"
	if err := Push(t.Context(), from, base, ref, Options{}); err != nil {
		t.Fatal(err)
	}
	if id, err := Pull(t.Context(), to, ref, Options{}); err != nil || id != base {
		t.Fatalf("pulled %s: %v", id.Short(), err)
	}
	child := addImage(t, from, base, addPackage(t, from, "three", "usr/bin/three", "third"))
	sent, got := layers.Load(), blobs.Load()
	ref = host + "/steve/base:2"
	if err := Push(t.Context(), from, child, ref, Options{}); err != nil {
		t.Fatal(err)
	}
	// The new package's two, its correction, the document and the config.
	if n := layers.Load() - sent; n > 5 {
		t.Errorf("%d blobs were sent for one new package", n)
	}
	if _, err := Pull(t.Context(), to, ref, Options{}); err != nil {
		t.Fatal(err)
	}
	if n := blobs.Load() - got; n != 3 {
		t.Errorf("%d blobs were read for one new package, want the document and its two", n)
	}
	if id, err := to.Resolve(ref); err != nil || id != child {
		t.Errorf("the reference stands for %s: %v", id.Short(), err)
	}
	if damage, err := to.Verify(t.Context(), child); err != nil || len(damage) > 0 {
		t.Errorf("damage %v, %v", damage, err)
	}
	if o, err := to.Origin(child); err != nil || o == nil || len(o.References) != 1 || o.References[0] != ref {
		t.Errorf("origin %v, %v", o, err)
	}
	// Container engines find an image for this machine behind the same name.
	tag, err := name.NewTag(ref)
	if err != nil {
		t.Fatal(err)
	}
	img, err := remote.Image(tag)
	if err != nil {
		t.Fatal(err)
	}
	c, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if len(c.RootFS.DiffIDs) != 4 {
		t.Errorf("%d layers, want one for each of three packages and the correction", len(c.RootFS.DiffIDs))
	}
}

func TestABadRegistryLeavesNothingVisible(t *testing.T) {
	var bad atomic.Value
	bad.Store("")
	host := serve(t, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			how := bad.Load().(string)
			blob := r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/blobs/")
			switch {
			case how == "401":
				http.Error(w, "no", http.StatusUnauthorized)
			case how == "redirect" && blob:
				http.Redirect(w, r, "http://192.0.2.1/x", http.StatusTemporaryRedirect)
			case how == "other" && blob, how == "cut" && blob:
				rec := httptest.NewRecorder()
				next.ServeHTTP(rec, r)
				b := rec.Body.Bytes()
				if how == "cut" {
					b = b[:len(b)/2]
				} else if len(b) > 0 {
					b[len(b)-1] ^= 1
				}
				w.WriteHeader(rec.Code)
				w.Write(b)
			default:
				next.ServeHTTP(w, r)
			}
		})
	})
	from := open(t)
	id := addImage(t, from, image.ID{}, addPackage(t, from, "one", "usr/bin/one", strings.Repeat("some text ", 1<<12)))
	ref := host + "/base:1"
	if err := Push(t.Context(), from, id, ref, Options{}); err != nil {
		t.Fatal(err)
	}
	for _, how := range []string{"401", "redirect", "other", "cut"} {
		t.Run(how, func(t *testing.T) {
			to := open(t)
			bad.Store(how)
			_, err := Pull(t.Context(), to, ref, Options{})
			if err == nil {
				t.Fatal("the pull succeeded")
			}
			if tags, _ := to.Tags(); len(tags) > 0 || to.HasImage(id) {
				t.Error("something is visible")
			}
			bad.Store("")
			if _, err := Pull(t.Context(), to, ref, Options{}); err != nil {
				t.Errorf("afterwards: %v", err)
			}
		})
	}
}

func TestOnlyLoopbackWithoutTLS(t *testing.T) {
	tr := &transport{host: "192.168.0.1:5000"}
	r, err := http.NewRequest(http.MethodGet, "http://192.168.0.1:5000/v2/", nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tr.RoundTrip(r); !errors.Is(err, ErrRefused) {
		t.Errorf("got %v", err)
	}
}

func FuzzParseDocument(f *testing.F) {
	f.Add([]byte(`{"version":1,"images":[],"packages":[]}`))
	f.Add([]byte(`{"version":2}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if d, chain, err := ParseDocument(b); err == nil && (d == nil || len(chain) == 0) {
			t.Error("a document without a chain")
		}
	})
}
