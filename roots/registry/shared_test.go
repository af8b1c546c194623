package registry

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync/atomic"
	"testing"

	"ninefold/roots/image"
	"ninefold/roots/pkg"
	"ninefold/roots/store"
)

// noisy stores a package whose content does not compress.
func noisy(t *testing.T, s *store.Store, n uint64) image.Ref {
	t.Helper()
	content := make([]byte, 50_000)
	r := rand.New(rand.NewPCG(n, 1))
	for i := range content {
		content[i] = byte(r.Uint32())
	}
	d, size, err := s.Put(t.Context(), bytes.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	name := fmt.Sprint("package", n)
	id, err := s.PutPackage(&pkg.Package{Name: name, Version: "1", Entries: []pkg.Entry{{Path: "usr/share/" + name, Kind: pkg.File, Mode: 0o644, Size: size, Digest: d}}})
	if err != nil {
		t.Fatal(err)
	}
	return image.Ref{Name: name, Version: "1", Digest: id}
}

// counted counts what is written.
type counted struct {
	http.ResponseWriter
	n *atomic.Int64
}

func (c counted) Write(p []byte) (int, error) {
	n, err := c.ResponseWriter.Write(p)
	c.n.Add(int64(n))
	return n, err
}

// TestWhatIsSharedDoesNotTravel pulls an image of which the store has nine
// tenths, and counts at the server.
func TestWhatIsSharedDoesNotTravel(t *testing.T) {
	var sent atomic.Int64
	host := serve(t, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { next.ServeHTTP(counted{w, &sent}, r) })
	})
	from, to, fresh := open(t), open(t), open(t)
	var refs []image.Ref
	for i := range 110 {
		refs = append(refs, noisy(t, from, uint64(i)))
	}
	put := func(list []image.Ref, reference string) {
		list = slices.SortedFunc(slices.Values(list), func(a, b image.Ref) int { return bytes.Compare(a.Digest[:], b.Digest[:]) })
		id, err := from.PutImage(&image.Manifest{Version: image.Version, Name: "test", Packages: list})
		if err == nil {
			err = Push(t.Context(), from, id, host+reference, Options{})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	put(refs[:100], "/steve/one:1")
	put(refs[10:], "/steve/one:2")
	moved := func(s *store.Store, reference string) int64 {
		before := sent.Load()
		if _, err := Pull(t.Context(), s, host+reference, Options{}); err != nil {
			t.Fatal(err)
		}
		return sent.Load() - before
	}
	moved(to, "/steve/one:1")
	some, all := moved(to, "/steve/one:2"), moved(fresh, "/steve/one:2")
	if some*100 > all*12 {
		t.Errorf("%d of %d bytes were moved for a tenth of the image: want 12 %% at most", some, all)
	}
	t.Logf("%d of %d bytes: %.1f %%", some, all, 100*float64(some)/float64(all))
}
