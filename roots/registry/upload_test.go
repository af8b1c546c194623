package registry

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"ninefold/roots/image"
)

// pushTo pushes an image to a registry that deals with uploads as answer says,
// where it reports that it did, and pulls it again if the push went well.
func pushTo(t *testing.T, answer func(w http.ResponseWriter, r *http.Request, nth int) bool) error {
	t.Helper()
	var mu sync.Mutex
	seen := map[string]int{}
	host := serve(t, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.Contains(r.URL.Path, "/blobs/uploads/") {
				mu.Lock()
				seen[r.Method]++
				nth := seen[r.Method]
				mu.Unlock()
				if answer(w, r, nth) {
					return
				}
			}
			next.ServeHTTP(w, r)
		})
	})
	from, to := open(t), open(t)
	id := addImage(t, from, image.ID{}, addPackage(t, from, "one", "usr/bin/one", strings.Repeat("some text ", 1<<12)))
	if err := Push(t.Context(), from, id, host+"/base:1", quick); err != nil {
		if _, err := Pull(t.Context(), to, host+"/base:1", quick); err == nil {
			t.Error("there is something to pull")
		}
		return err
	}
	if got, err := Pull(t.Context(), to, host+"/base:1", quick); err != nil || got != id {
		t.Errorf("pulled %s: %v", got.Short(), err)
	}
	return nil
}

func TestUploadsThatAreTriedAgain(t *testing.T) {
	for name, answer := range map[string]func(http.ResponseWriter, *http.Request, int) bool{
		"500": func(w http.ResponseWriter, r *http.Request, nth int) bool {
			if nth == 1 {
				w.WriteHeader(http.StatusInternalServerError)
			}
			return nth == 1
		},
		"429 without a time": func(w http.ResponseWriter, r *http.Request, nth int) bool {
			if nth == 1 {
				w.WriteHeader(http.StatusTooManyRequests)
			}
			return nth == 1
		},
		"503 for a moment": func(w http.ResponseWriter, r *http.Request, nth int) bool {
			if nth == 1 {
				w.Header().Set("Retry-After", "0")
				w.WriteHeader(http.StatusServiceUnavailable)
			}
			return nth == 1
		},
		"hangs up": func(w http.ResponseWriter, r *http.Request, nth int) bool {
			if nth == 1 {
				panic(http.ErrAbortHandler)
			}
			return false
		},
		"silence": func(w http.ResponseWriter, r *http.Request, nth int) bool {
			if nth == 1 {
				// Who has not read everything does not hear that the client went away.
				io.Copy(io.Discard, r.Body)
				<-r.Context().Done()
			}
			return nth == 1
		},
		"sent on, on the same host": func(w http.ResponseWriter, r *http.Request, nth int) bool {
			if r.Method != http.MethodPut || nth != 1 {
				return false
			}
			http.Redirect(w, r, r.URL.String(), http.StatusTemporaryRedirect)
			return true
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if err := pushTo(t, answer); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestUploadsThatFail(t *testing.T) {
	location := func(to string) func(http.ResponseWriter, *http.Request, int) bool {
		return func(w http.ResponseWriter, r *http.Request, _ int) bool {
			if to != "" {
				w.Header().Set("Location", to)
			}
			w.WriteHeader(http.StatusAccepted)
			return true
		}
	}
	status := func(n int) func(http.ResponseWriter, *http.Request, int) bool {
		return func(w http.ResponseWriter, r *http.Request, _ int) bool { w.WriteHeader(n); return true }
	}
	for name, c := range map[string]struct {
		answer  func(http.ResponseWriter, *http.Request, int) bool
		refused bool
	}{
		"it does not say where to":        {location(""), true},
		"to the machine's own network":    {location("https://192.168.7.7/upload?x=y"), true},
		"to a cloud's metadata":           {location("https://169.254.169.254/latest"), true},
		"to this machine by another name": {location("https://[::1]:1/upload"), true},
		"to another host without TLS":     {location("http://192.0.2.1/upload"), true},
		"in a circle": {func(w http.ResponseWriter, r *http.Request, _ int) bool {
			if r.Method == http.MethodPut {
				http.Redirect(w, r, r.URL.String(), http.StatusTemporaryRedirect)
			}
			return r.Method == http.MethodPut
		}, true},
		"sent on to the metadata of a cloud": {func(w http.ResponseWriter, r *http.Request, _ int) bool {
			if r.Method == http.MethodPut {
				http.Redirect(w, r, "https://169.254.169.254/latest", http.StatusTemporaryRedirect)
			}
			return r.Method == http.MethodPut
		}, true},
		"a full registry":     {status(http.StatusInsufficientStorage), false},
		"nobody may push":     {status(http.StatusForbidden), false},
		"it always breaks":    {status(http.StatusInternalServerError), false},
		"an upload for a PUT": {status(http.StatusOK), false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := pushTo(t, c.answer)
			if err == nil || c.refused != errors.Is(err, ErrRefused) {
				t.Errorf("got %v", err)
			}
		})
	}
}
