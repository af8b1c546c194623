package registry

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"ninefold/roots/image"
	"ninefold/roots/pkg"
	"ninefold/roots/store"
)

func signed(t *testing.T, s *store.Store, over pkg.Digest) string {
	t.Helper()
	list, err := s.Signatures(over)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, e := range list {
		out = append(out, string(e))
	}
	return strings.Join(out, " ")
}

func sign(t *testing.T, s *store.Store, over pkg.Digest, text string) {
	t.Helper()
	if err := s.AddSignature(over, []byte(text)); err != nil {
		t.Fatal(err)
	}
}

// TestOthersAddTheirSignatures lets somebody who has the same image add a word
// to it where it lies, which stays when the first one pushes it again.
func TestOthersAddTheirSignatures(t *testing.T) {
	ref := serve(t, nil) + "/steve/base:1"
	maker, rebuilder, taker := open(t), open(t), open(t)
	one := addPackage(t, maker, "one", "usr/bin/one", "first")
	id := addImage(t, maker, image.ID{}, one)
	sign(t, maker, id, "maker")
	if err := Push(t.Context(), maker, id, ref, Options{}); err != nil {
		t.Fatal(err)
	}
	if got := addImage(t, rebuilder, image.ID{}, addPackage(t, rebuilder, "one", "usr/bin/one", "first")); got != id {
		t.Fatalf("the rebuilder has image %s, not %s", got.Short(), id.Short())
	}
	sign(t, rebuilder, one.Digest, "rebuilder")
	for want := 1; want >= 0; want-- {
		if n, err := PushSignatures(t.Context(), rebuilder, id, ref, Options{}); err != nil || n != want {
			t.Errorf("%d signatures were new, want %d: %v", n, want, err)
		}
	}
	if err := Push(t.Context(), maker, id, ref, Options{}); err != nil {
		t.Fatal(err)
	}
	if got, err := Pull(t.Context(), taker, ref, Options{}); err != nil || got != id {
		t.Fatalf("pulled %s: %v", got.Short(), err)
	}
	if a, b := signed(t, taker, id), signed(t, taker, one.Digest); a != "maker" || b != "rebuilder" {
		t.Errorf("over the image: %q, over its package: %q", a, b)
	}

	other := addImage(t, rebuilder, id, addPackage(t, rebuilder, "two", "usr/bin/two", "second"))
	if _, err := PushSignatures(t.Context(), rebuilder, other, ref, Options{}); !errors.Is(err, ErrOther) {
		t.Errorf("signatures of another image: %v", err)
	}
}

// TestASignatureMoreThanThereIsRoomFor keeps the ones that are there.
func TestASignatureMoreThanThereIsRoomFor(t *testing.T) {
	d := &Document{}
	var list []Signature
	for i := range store.MaxSignatures + 2 {
		list = append(list, Signature{pkg.Digest{1}, []byte{byte(i)}})
	}
	if lost := d.join(append(list, list[0])); lost != 2 || len(d.Signatures) != store.MaxSignatures {
		t.Errorf("%d are kept, for %d there is no room", len(d.Signatures), lost)
	}
}

// TestWhatIsThereIsNotPackedAgain pushes an image a second time after a file
// of it is lost: only whoever packs would miss it.
func TestWhatIsThereIsNotPackedAgain(t *testing.T) {
	var uploads atomic.Int64
	host := serve(t, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodPost {
				uploads.Add(1)
			}
			next.ServeHTTP(w, r)
		})
	})
	from := open(t)
	one := addPackage(t, from, "one", "usr/bin/one", "first")
	id := addImage(t, from, image.ID{}, one)
	if err := Push(t.Context(), from, id, host+"/base:1", Options{}); err != nil {
		t.Fatal(err)
	}
	p, err := from.Package(one.Digest)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(from.ObjectsDir(), store.ObjectPath(p.Entries[0].Digest))); err != nil {
		t.Fatal(err)
	}
	before := uploads.Load()
	if err := Push(t.Context(), from, id, host+"/base:2", Options{}); err != nil {
		t.Fatal(err)
	}
	if n := uploads.Load() - before; n > 0 {
		t.Errorf("%d blobs were sent again", n)
	}
	// Another registry has none of it.
	if err := Push(t.Context(), from, id, serve(t, nil)+"/base:1", Options{}); err == nil {
		t.Error("a registry that lacks the package took the image")
	}
}
