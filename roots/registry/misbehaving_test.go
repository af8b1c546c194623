package registry

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"ninefold/roots/image"
	"ninefold/roots/store"
)

// bad answers a request in place of the registry, whose answer good is, and
// reports whether it did.
type bad func(w http.ResponseWriter, r *http.Request, good *httptest.ResponseRecorder) bool

// serveBad serves a registry that behaves as the value that it returns says.
func serveBad(t *testing.T) (host string, how *atomic.Value) {
	t.Helper()
	how = &atomic.Value{}
	how.Store(bad(nil))
	host = serve(t, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if b := how.Load().(bad); b != nil {
				rec := httptest.NewRecorder()
				next.ServeHTTP(rec, r.Clone(r.Context()))
				if !b(w, r, rec) {
					for k, v := range rec.Header() {
						w.Header()[k] = v
					}
					w.WriteHeader(rec.Code)
					w.Write(rec.Body.Bytes())
				}
				return
			}
			next.ServeHTTP(w, r)
		})
	})
	return host, how
}

// badRegistry is one that holds an image.
func badRegistry(t *testing.T) (ref string, id image.ID, how *atomic.Value) {
	t.Helper()
	host, how := serveBad(t)
	from := open(t)
	var noise bytes.Buffer // does not compress well
	for i := range 1 << 13 {
		fmt.Fprintf(&noise, "%x ", i*i*7919)
	}
	id = addImage(t, from, image.ID{}, addPackage(t, from, "one", "usr/bin/one", noise.String()), addPackage(t, from, "two", "usr/bin/two", "second"))
	ref = host + "/base:1"
	if err := Push(t.Context(), from, id, ref, Options{}); err != nil {
		t.Fatal(err)
	}
	return ref, id, how
}

func isBlobGET(r *http.Request) bool {
	return r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/blobs/")
}

// cut sends n bytes of what was announced, and hangs up.
func cut(w http.ResponseWriter, good *httptest.ResponseRecorder, n int) {
	for k, v := range good.Header() {
		w.Header()[k] = v
	}
	w.Header().Set("Content-Length", fmt.Sprint(good.Body.Len()))
	w.WriteHeader(good.Code)
	w.Write(good.Body.Bytes()[:n])
	http.NewResponseController(w).Flush()
	panic(http.ErrAbortHandler)
}

// TestRegistriesThatCannotBeUsed wants an error, nothing visible, and a pull
// that works once the registry is well again.
func TestRegistriesThatCannotBeUsed(t *testing.T) {
	challenge := func(text string) bad {
		return func(w http.ResponseWriter, r *http.Request, _ *httptest.ResponseRecorder) bool {
			w.Header().Set("WWW-Authenticate", text)
			w.WriteHeader(http.StatusUnauthorized)
			return true
		}
	}
	for name, b := range map[string]bad{
		"a byte more than announced": func(w http.ResponseWriter, r *http.Request, good *httptest.ResponseRecorder) bool {
			if !isBlobGET(r) {
				return false
			}
			w.WriteHeader(good.Code)
			w.Write(append(good.Body.Bytes(), 0))
			return true
		},
		"a blob that never ends": func(w http.ResponseWriter, r *http.Request, good *httptest.ResponseRecorder) bool {
			if !isBlobGET(r) {
				return false
			}
			for r.Context().Err() == nil {
				if _, err := w.Write(good.Body.Bytes()); err != nil {
					break
				}
			}
			return true
		},
		"a manifest that never ends": func(w http.ResponseWriter, r *http.Request, good *httptest.ResponseRecorder) bool {
			if !strings.Contains(r.URL.Path, "/manifests/") {
				return false
			}
			for r.Context().Err() == nil {
				if _, err := w.Write(good.Body.Bytes()); err != nil {
					break
				}
			}
			return true
		},
		"another manifest": func(w http.ResponseWriter, r *http.Request, good *httptest.ResponseRecorder) bool {
			if !strings.Contains(r.URL.Path, "/manifests/sha256:") {
				return false
			}
			w.Header().Set("Content-Type", good.Header().Get("Content-Type"))
			w.Write(append(good.Body.Bytes(), ' '))
			return true
		},
		"silence": func(w http.ResponseWriter, r *http.Request, good *httptest.ResponseRecorder) bool {
			<-r.Context().Done()
			return true
		},
		"silence within a blob": func(w http.ResponseWriter, r *http.Request, good *httptest.ResponseRecorder) bool {
			if !isBlobGET(r) {
				return false
			}
			w.Header().Set("Content-Length", fmt.Sprint(good.Body.Len()))
			w.Write(good.Body.Bytes()[:good.Body.Len()/2])
			http.NewResponseController(w).Flush()
			<-r.Context().Done()
			return true
		},
		"a byte now and then": func(w http.ResponseWriter, r *http.Request, good *httptest.ResponseRecorder) bool {
			if !isBlobGET(r) {
				return false
			}
			w.Header().Set("Content-Length", fmt.Sprint(1<<20))
			for r.Context().Err() == nil {
				w.Write([]byte{0})
				http.NewResponseController(w).Flush()
				time.Sleep(idleInTests / 20)
			}
			return true
		},
		"busy for an hour": func(w http.ResponseWriter, r *http.Request, good *httptest.ResponseRecorder) bool {
			w.Header().Set("Retry-After", "3600")
			w.WriteHeader(http.StatusServiceUnavailable)
			return true
		},
		"an empty challenge":          challenge(""),
		"a challenge without a realm": challenge(`Bearer service="x"`),
		"a realm that is a file":      challenge(`Bearer realm="file:///etc/shadow"`),
		"a realm on another host":     challenge(`Bearer realm="http://192.0.2.1/token",service="x"`),
		"a scheme that nobody knows":  challenge(`Negotiate abc`),
		"a challenge without end":     challenge(`Bearer realm="` + strings.Repeat("x", 1<<19) + `"`),
		"sent in a circle": func(w http.ResponseWriter, r *http.Request, good *httptest.ResponseRecorder) bool {
			http.Redirect(w, r, r.URL.Path, http.StatusTemporaryRedirect)
			return true
		},
	} {
		t.Run(strings.ReplaceAll(name, " ", "-"), func(t *testing.T) {
			t.Parallel()
			ref, id, how := badRegistry(t)
			to := open(t)
			how.Store(b)
			if _, err := Pull(t.Context(), to, ref, quick); err == nil {
				t.Fatal("the pull succeeded")
			}
			untouched(t, to, id)
			how.Store(bad(nil))
			if _, err := Pull(t.Context(), to, ref, Options{}); err != nil {
				t.Errorf("afterwards: %v", err)
			}
		})
	}
}

// quick gives a registry up sooner.
var quick = Options{idle: idleInTests, wait: 5 * time.Millisecond}

const idleInTests = 400 * time.Millisecond

func untouched(t *testing.T, s *store.Store, id image.ID) {
	t.Helper()
	if tags, err := s.Tags(); err != nil || len(tags) > 0 || s.HasImage(id) {
		t.Errorf("something is visible: %v %v", tags, err)
	}
}

// TestRegistriesInTrouble are still good enough to pull from.
func TestRegistriesInTrouble(t *testing.T) {
	var mu sync.Mutex
	seen := map[string]int{}
	nth := func(r *http.Request) int {
		mu.Lock()
		defer mu.Unlock()
		seen[r.Host+r.Method+r.URL.Path]++
		return seen[r.Host+r.Method+r.URL.Path]
	}
	for name, b := range map[string]bad{
		"500 at first": func(w http.ResponseWriter, r *http.Request, good *httptest.ResponseRecorder) bool {
			if nth(r) > 1 {
				return false
			}
			w.WriteHeader(http.StatusInternalServerError)
			return true
		},
		"429 at first": func(w http.ResponseWriter, r *http.Request, good *httptest.ResponseRecorder) bool {
			if nth(r) > 2 {
				return false
			}
			w.Header().Set("Retry-After", "0")
			w.WriteHeader(http.StatusTooManyRequests)
			return true
		},
		"503 until a moment": func(w http.ResponseWriter, r *http.Request, good *httptest.ResponseRecorder) bool {
			if nth(r) > 2 {
				return false
			}
			w.Header().Set("Retry-After", time.Now().UTC().Format(http.TimeFormat))
			w.WriteHeader(http.StatusServiceUnavailable)
			return true
		},
		"no ranges, and one cut": func(w http.ResponseWriter, r *http.Request, good *httptest.ResponseRecorder) bool {
			if !isBlobGET(r) || nth(r) > 1 && r.Header.Get("Range") == "" {
				return false
			}
			if r.Header.Get("Range") != "" {
				w.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
				return true
			}
			cut(w, good, good.Body.Len()/2)
			return true
		},
	} {
		t.Run(strings.ReplaceAll(name, " ", "-"), func(t *testing.T) {
			t.Parallel()
			ref, id, how := badRegistry(t)
			to := open(t)
			how.Store(b)
			if got, err := Pull(t.Context(), to, ref, Options{wait: quick.wait}); err != nil || got != id {
				t.Fatalf("pulled %s: %v", got.Short(), err)
			}
			if damage, err := to.Verify(t.Context(), id); err != nil || len(damage) > 0 {
				t.Errorf("damage %v, %v", damage, err)
			}
		})
	}
}

// TestABlobGoesOnWhereItBroke cuts each blob in the middle, and counts what is sent.
func TestABlobGoesOnWhereItBroke(t *testing.T) {
	ref, id, how := badRegistry(t)
	var sent, whole atomic.Int64
	how.Store(bad(func(w http.ResponseWriter, r *http.Request, good *httptest.ResponseRecorder) bool {
		if !isBlobGET(r) {
			return false
		}
		if r.Header.Get("Range") == "" {
			n := good.Body.Len() / 2
			sent.Add(int64(n))
			whole.Add(int64(good.Body.Len()))
			cut(w, good, n)
		}
		sent.Add(int64(good.Body.Len()))
		return false
	}))
	to := open(t)
	if got, err := Pull(t.Context(), to, ref, Options{wait: quick.wait}); err != nil || got != id {
		t.Fatalf("pulled %s: %v", got.Short(), err)
	}
	if a, b := sent.Load(), whole.Load(); a != b {
		t.Errorf("%d bytes were sent of blobs of %d", a, b)
	}
}

// TestCredentialsStayWithTheirHost lets a registry that wants a password send
// its blobs by another host.
func TestCredentialsStayWithTheirHost(t *testing.T) {
	ref, id, how := badRegistry(t)
	var told atomic.Int64
	blobs := sync.Map{}
	other := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" || r.Header.Get("Cookie") != "" {
			told.Add(1)
		}
		b, _ := blobs.Load(r.URL.Path)
		w.Write(b.([]byte))
	}))
	t.Cleanup(other.Close)
	basic := "Basic " + base64.StdEncoding.EncodeToString([]byte("steve:secret"))
	how.Store(bad(func(w http.ResponseWriter, r *http.Request, good *httptest.ResponseRecorder) bool {
		if r.Header.Get("Authorization") != basic {
			w.Header().Set("WWW-Authenticate", "Basic realm=x")
			w.WriteHeader(http.StatusUnauthorized)
			return true
		}
		if !isBlobGET(r) {
			return false
		}
		blobs.Store(r.URL.Path, good.Body.Bytes())
		http.Redirect(w, r, other.URL+r.URL.Path, http.StatusTemporaryRedirect)
		return true
	}))
	host, _, _ := strings.Cut(ref, "/")
	o := Options{next: other.Client().Transport.(*http.Transport)}
	helper := "#!/bin/sh\nread host\necho '{\"ServerURL\":\"'$host'\",\"Username\":\"steve\",\"Secret\":\"secret\"}'\n"
	auths := fmt.Sprintf(`{"auths":{%q:{"auth":%q}}}`, host, strings.TrimPrefix(basic, "Basic "))
	for name, files := range map[string]map[string]string{
		"docker": {"docker/config.json": auths},
		"podman": {"run/containers/auth.json": auths},
		"helper": {"docker/config.json": fmt.Sprintf(`{"credHelpers":{%q:"here"}}`, host), "bin/docker-credential-here": helper},
		"nobody": {},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for file, text := range files {
				file = filepath.Join(dir, file)
				if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o700), os.WriteFile(file, []byte(text), 0o700)); err != nil {
					t.Fatal(err)
				}
			}
			t.Setenv("HOME", dir)
			t.Setenv("DOCKER_CONFIG", filepath.Join(dir, "docker"))
			t.Setenv("XDG_RUNTIME_DIR", filepath.Join(dir, "run"))
			t.Setenv("REGISTRY_AUTH_FILE", "")
			t.Setenv("PATH", filepath.Join(dir, "bin")+":"+os.Getenv("PATH"))
			to := open(t)
			got, err := Pull(t.Context(), to, ref, o)
			if len(files) == 0 {
				if err == nil {
					t.Error("a pull without the password succeeded")
				}
				untouched(t, to, id)
			} else if err != nil || got != id {
				t.Errorf("pulled %s: %v", got.Short(), err)
			}
		})
	}
	if n := told.Load(); n > 0 {
		t.Errorf("the other host was told the password %d times", n)
	}
}
