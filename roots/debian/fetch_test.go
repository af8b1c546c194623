package debian

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"ninefold/internal/progress"
	"ninefold/roots/debian/testrepo"
	"ninefold/roots/lock"
	"ninefold/roots/pkg"
)

// pool serves one file of about 300 KB and returns the lock that wants it and
// the file's content.
func pool(t *testing.T, wrap func(http.Handler) http.Handler) (*lock.Lock, []byte) {
	t.Helper()
	big := testrepo.Deb{Name: "big", Files: []testrepo.File{{Path: "usr/share/big", Text: noise(300 << 10)}}}
	repo := testrepo.New(t, "trixie", Arch(), big)
	data := big.Build(t)
	return &lock.Lock{Recipe: "test", Source: lock.Source{Mirror: repo.Serve(t, wrap)}, Packages: []lock.Package{
		{Name: "big", Version: "1.0", URL: big.FileName(), Size: int64(len(data)), SHA256: sha256.Sum256(data)},
	}}, data
}

// noise is text that does not compress.
func noise(n int) string {
	var b strings.Builder
	for i := 0; b.Len() < n; i++ {
		fmt.Fprintf(&b, "%x", sha256.Sum256([]byte{byte(i), byte(i >> 8)}))
	}
	return b.String()[:n]
}

func checkFetched(t *testing.T, l *lock.Lock, dir string, want []byte) {
	t.Helper()
	got, err := os.ReadFile(Path(dir, l.Packages[0]))
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("fetched %d bytes, %v", len(got), err)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "*.part")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestFetch(t *testing.T) {
	var requests atomic.Int32
	l, data := pool(t, func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			requests.Add(1)
			h.ServeHTTP(w, r)
		})
	})
	dir := filepath.Join(t.TempDir(), "debs")
	var last progress.Update
	sink := progress.Func(func(u progress.Update) { last = u })
	// Several fetches into one directory load the file once.
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			if err := Fetch(context.Background(), l, dir, progress.None); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	checkFetched(t, l, dir, data)
	if n := requests.Load(); n != 1 {
		t.Errorf("%d requests, want 1", n)
	}
	if err := Fetch(context.Background(), l, t.TempDir(), sink); err != nil {
		t.Fatal(err)
	}
	if !last.End || last.Done != int64(len(data)) || last.Total != last.Done || last.Stage != "download" {
		t.Errorf("the last update is %+v", last)
	}
	l.Source.Mirror = "http://127.0.0.1:1"
	if err := Fetch(context.Background(), l, dir, nil); err != nil {
		t.Errorf("what is there already needs no network: %v", err)
	}
}

// A transfer that breaks off, or that another run left, goes on where it was.
func TestFetchResumes(t *testing.T) {
	var ranges []string
	l, data := pool(t, func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			ranges = append(ranges, r.Header.Get("Range"))
			if len(ranges) == 1 {
				w = &breaking{ResponseWriter: w, room: 100 << 10}
			}
			h.ServeHTTP(w, r)
		})
	})
	dir := t.TempDir()
	if err := os.WriteFile(Path(dir, l.Packages[0])+".part", data[:1000], 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Fetch(context.Background(), l, dir, nil); err != nil {
		t.Fatal(err)
	}
	checkFetched(t, l, dir, data)
	if len(ranges) != 2 || ranges[0] != "bytes=1000-" || ranges[1] <= "bytes=1000-" {
		t.Errorf("ranges asked for: %q", ranges)
	}
}

// breaking cuts the connection after some bytes.
type breaking struct {
	http.ResponseWriter
	room int
}

func (b *breaking) Write(p []byte) (int, error) {
	if len(p) > b.room {
		b.ResponseWriter.Write(p[:b.room])
		panic(http.ErrAbortHandler)
	}
	b.room -= len(p)
	return b.ResponseWriter.Write(p)
}

// The remains of another file, or a server that cannot continue, lead to a
// whole new transfer.
func TestFetchStartsOver(t *testing.T) {
	l, data := pool(t, func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("X-Plain") == "" && strings.Contains(r.URL.Path, "plain") {
				r.Header.Del("Range")
				r.URL.Path = strings.TrimPrefix(r.URL.Path, "/plain")
			}
			h.ServeHTTP(w, r)
		})
	})
	part := func(text []byte) string {
		dir := t.TempDir()
		if err := os.WriteFile(Path(dir, l.Packages[0])+".part", text, 0o600); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	mirror := l.Source.Mirror
	for name, remains := range map[string][]byte{
		"of another file": bytes.Repeat([]byte("x"), 5000),
		"too long":        bytes.Repeat([]byte("x"), len(data)+1),
		"whole but wrong": bytes.Repeat([]byte("x"), len(data)),
	} {
		for _, l.Source.Mirror = range []string{mirror, mirror + "/plain"} {
			dir := part(remains)
			if err := Fetch(context.Background(), l, dir, nil); err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			checkFetched(t, l, dir, data)
		}
	}
}

func TestFetchErrors(t *testing.T) {
	busy := 0
	l, data := pool(t, func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch {
			case strings.HasPrefix(r.URL.Path, "/busy/") && busy < 2:
				busy++
				w.WriteHeader(http.StatusServiceUnavailable)
			case strings.HasPrefix(r.URL.Path, "/busy/"):
				http.StripPrefix("/busy", h).ServeHTTP(w, r)
			case strings.HasPrefix(r.URL.Path, "/forbidden/"):
				w.WriteHeader(http.StatusForbidden)
			default:
				h.ServeHTTP(w, r)
			}
		})
	})
	try := func(change func(*lock.Lock)) (string, error) {
		c := *l
		c.Packages = append([]lock.Package(nil), l.Packages...)
		change(&c)
		dir := t.TempDir()
		err := Fetch(context.Background(), &c, dir, nil)
		if left, _ := os.ReadDir(dir); err != nil && len(left) > 0 {
			t.Errorf("after %v there is %v", err, left)
		}
		return dir, err
	}
	wrong := pkg.Digest{1}
	_, err := try(func(l *lock.Lock) { l.Packages[0].SHA256 = wrong })
	if !errors.Is(err, ErrHash) || !strings.Contains(err.Error(), "fetch big 1.0") ||
		!strings.Contains(err.Error(), wrong.String()) || !strings.Contains(err.Error(), l.Packages[0].SHA256.String()) {
		t.Errorf("wrong hash: got %v", err)
	}
	if _, err := try(func(l *lock.Lock) { l.Packages[0].Size-- }); !errors.Is(err, ErrHash) {
		t.Errorf("longer than promised: got %v", err)
	}
	_, err = try(func(l *lock.Lock) { l.Packages[0].URL = "pool/gone.deb" })
	if !errors.Is(err, ErrGone) || !strings.Contains(err.Error(), "lock test again") || !strings.Contains(err.Error(), "snapshot.debian.org") {
		t.Errorf("gone: got %v", err)
	}
	if _, err := try(func(l *lock.Lock) { l.Packages[0].URL = l.Source.Mirror + "/forbidden/x" }); !errors.Is(err, ErrNetwork) {
		t.Errorf("forbidden: got %v", err)
	}
	dir, err := try(func(l *lock.Lock) { l.Source.Mirror += "/busy" })
	if err != nil {
		t.Errorf("busy for a moment: %v", err)
	} else {
		checkFetched(t, l, dir, data)
	}
}

func TestFetchStops(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	l, data := pool(t, func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if ctx.Err() != nil {
				h.ServeHTTP(w, r)
				return
			}
			w.Write([]byte("!<arch>\n"))
			w.(http.Flusher).Flush()
			cancel()
			<-r.Context().Done()
		})
	})
	dir := t.TempDir()
	if err := Fetch(ctx, l, dir, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if err := Fetch(context.Background(), l, dir, nil); err != nil {
		t.Fatal(err)
	}
	checkFetched(t, l, dir, data)
}
