package registry

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"ninefold/roots/image"
	"ninefold/roots/pkg"
	"ninefold/roots/store"
)

// addLarge stores an image of one file that does not compress, and makes a blob
// that is kept.
func addLarge(t *testing.T, s *store.Store) image.ID {
	t.Helper()
	noise := make([]byte, keepFrom+keepFrom/4)
	rand.NewChaCha8([32]byte{7}).Read(noise)
	return addImage(t, s, image.ID{}, addPackage(t, s, "large", "usr/share/large", string(noise)), addPackage(t, s, "small", "usr/share/small", "small"))
}

// begunIn lists what a store keeps of blobs that did not come to their end.
func begunIn(t *testing.T, s *store.Store) []string {
	t.Helper()
	all, err := filepath.Glob(filepath.Join(s.Dir(), "partial", "*"))
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// TestAPullKilledWithinALargeBlob goes on there when it is started again, from
// the registry that most others descend from.
func TestAPullKilledWithinALargeBlob(t *testing.T) {
	real := distribution(t)
	from, to := open(t), open(t)
	id := addLarge(t, from)
	if err := Push(t.Context(), from, id, real.Host+"/base:1", Options{}); err != nil {
		t.Fatal(err)
	}
	var sent atomic.Int64
	var stops atomic.Bool
	stops.Store(true)
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: real.Host})
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if isBlobGET(r) {
			w = &stopping{w, r, &sent, &stops}
		}
		proxy.ServeHTTP(w, r)
	}))
	defer front.Close()
	ref := strings.TrimPrefix(front.URL, "http://") + "/base:1"

	cmd := puller(t, to.Dir(), ref)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var came int64
	for end := time.Now().Add(time.Minute); came < stopAt/2; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			cmd.Process.Kill()
			cmd.Wait()
			t.Fatalf("%d bytes are kept after a minute: %v", came, begunIn(t, to))
		}
		came = 0
		for _, name := range begunIn(t, to) {
			if st, err := os.Stat(name); err == nil {
				came += st.Size()
			}
		}
	}
	cmd.Process.Kill()
	cmd.Wait()
	untouched(t, to, id)
	if _, err := to.GC(t.Context()); err != nil {
		t.Fatal(err)
	}
	stops.Store(false)
	sent.Store(0)
	if got, err := Pull(t.Context(), to, ref, Options{}); err != nil || got != id {
		t.Fatalf("pulled %s: %v", got.Short(), err)
	}
	arrived(t, to, ref, id)
	if n := sent.Load(); n > keepFrom+keepFrom/4+64<<10-came {
		t.Errorf("%d bytes were sent after %d had come", n, came)
	}
	if left := begunIn(t, to); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// stopAt is where a stopping answer stops, in bytes.
const stopAt = keepFrom / 2

// stopping counts what is sent and, if asked to, sends no more than stopAt bytes.
type stopping struct {
	http.ResponseWriter
	r     *http.Request
	sent  *atomic.Int64
	stops *atomic.Bool
}

func (s *stopping) Write(p []byte) (int, error) {
	if s.stops.Load() && s.sent.Load() >= stopAt {
		http.NewResponseController(s.ResponseWriter).Flush()
		<-s.r.Context().Done()
		return 0, s.r.Context().Err()
	}
	s.sent.Add(int64(len(p)))
	return s.ResponseWriter.Write(p)
}

// TestWhatIsKeptIsNotBelieved has half of a blob there, or something else in its
// place, and a registry that does with ranges what it likes.
func TestWhatIsKeptIsNotBelieved(t *testing.T) {
	host, how := serveBad(t)
	from := open(t)
	id, ref := addLarge(t, from), host+"/base:1"
	if err := Push(t.Context(), from, id, ref, Options{}); err != nil {
		t.Fatal(err)
	}
	var blob []byte
	how.Store(bad(func(_ http.ResponseWriter, r *http.Request, good *httptest.ResponseRecorder) bool {
		if isBlobGET(r) && good.Body.Len() >= keepFrom {
			blob = good.Body.Bytes()
		}
		return false
	}))
	if _, err := Pull(t.Context(), open(t), ref, Options{}); err != nil {
		t.Fatal(err)
	}
	noise := bytes.Repeat([]byte{'x'}, len(blob))
	// ranged changes what is said to a request for the rest of the large blob.
	ranged := func(status int, body func(good []byte) []byte, of func(good string) string) bad {
		return func(w http.ResponseWriter, r *http.Request, good *httptest.ResponseRecorder) bool {
			if !isBlobGET(r) || r.Header.Get("Range") == "" {
				return false
			}
			if text := of(good.Header().Get("Content-Range")); text != "" {
				w.Header().Set("Content-Range", text)
			}
			w.WriteHeader(status)
			w.Write(body(good.Body.Bytes()))
			return true
		}
	}
	same := func(s string) string { return s }
	none := func(string) string { return "" }
	whole := func([]byte) []byte { return blob }
	for name, b := range map[string]bad{
		"honest":                    func(http.ResponseWriter, *http.Request, *httptest.ResponseRecorder) bool { return false },
		"ranges are not known":      ranged(http.StatusOK, whole, none),
		"no such range":             ranged(http.StatusRequestedRangeNotSatisfiable, func([]byte) []byte { return nil }, func(string) string { return "bytes */5" }),
		"another range":             ranged(http.StatusPartialContent, whole, func(string) string { return fmt.Sprintf("bytes 0-%d/%d", len(blob)-1, len(blob)) }),
		"no word of which range":    ranged(http.StatusPartialContent, whole, none),
		"of something else":         ranged(http.StatusPartialContent, func(good []byte) []byte { return good }, func(s string) string { return s + "0" }),
		"other bytes":               ranged(http.StatusPartialContent, func(good []byte) []byte { return noise[:len(good)] }, same),
		"less than it says of them": ranged(http.StatusPartialContent, func(good []byte) []byte { return good[:len(good)/2] }, same),
	} {
		t.Run(strings.ReplaceAll(name, " ", "-"), func(t *testing.T) {
			how.Store(b)
			for what, there := range map[string][]byte{"half": blob[:len(blob)/2], "zeros": make([]byte, len(blob)/2), "too much": append(blob[:len(blob):len(blob)], 1, 2), "all": blob} {
				to := open(t)
				seed(t, to, blob, there)
				if got, err := Pull(t.Context(), to, ref, Options{wait: quick.wait}); err != nil || got != id {
					t.Errorf("with %s of it: pulled %s: %v", what, got.Short(), err)
					continue
				}
				arrived(t, to, ref, id)
				if left := begunIn(t, to); len(left) > 0 {
					t.Errorf("with %s of it: left behind: %v", what, left)
				}
			}
		})
	}
	how.Store(bad(func(w http.ResponseWriter, r *http.Request, good *httptest.ResponseRecorder) bool {
		if !isBlobGET(r) || good.Body.Len() < 1<<20 {
			return false
		}
		if of := good.Header().Get("Content-Range"); of != "" {
			w.Header().Set("Content-Range", of)
		}
		w.WriteHeader(good.Code)
		w.Write(noise[:good.Body.Len()])
		return true
	}))
	to := open(t)
	seed(t, to, blob, blob[:len(blob)/2])
	if _, err := Pull(t.Context(), to, ref, quick); !errors.Is(err, ErrRefused) {
		t.Errorf("other bytes in any case: %v", err)
	}
	untouched(t, to, id)
	if left := begunIn(t, to); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// seed has there be what an earlier pull left of blob.
func seed(t *testing.T, s *store.Store, blob, there []byte) {
	t.Helper()
	p := s.Partial(pkg.Digest(sha256.Sum256(blob)), int64(len(there)))
	if p == nil {
		t.Fatal("nothing can be kept")
	}
	if err := errors.Join(p.Append(there), p.Close()); err != nil {
		t.Fatal(err)
	}
}
