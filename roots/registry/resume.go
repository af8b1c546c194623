package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

const (
	maxBreaks = 4       // of a blob, without progress in between
	settled   = 1 << 20 // bytes
)

// whole returns an answer whose body, when it is a blob and the connection
// breaks, goes on where it broke, by a range request (RFC 9110, 14.2). What is put together like
// this is checked against the blob's digest like any other. The body begins at byte at.
func (t *transport) whole(r *http.Request, resp *http.Response, at int64) *http.Response {
	if r.Method == http.MethodGet && resp.StatusCode == http.StatusOK && resp.ContentLength > 0 && isBlob(r) {
		resp.Body = &resumed{ReadCloser: resp.Body, t: t, request: r, size: resp.ContentLength, at: at, tag: resp.Header.Get("Etag"), left: maxBreaks}
	}
	return resp
}

type resumed struct {
	io.ReadCloser
	t       *transport
	request *http.Request
	tag     string
	size    int64
	at      int64 // of the blob, in bytes
	broken  int64 // where it broke last
	left    int
}

func (r *resumed) Read(p []byte) (int, error) {
	for {
		n, err := r.ReadCloser.Read(p)
		r.at += int64(n)
		if err == nil || errors.Is(err, io.EOF) || r.request.Context().Err() != nil || errors.Is(err, ErrRefused) {
			return n, err
		}
		if r.at >= r.broken+settled {
			r.left = maxBreaks
		}
		r.broken = r.at
		if again := r.resume(); again != nil {
			return n, err
		}
		if n > 0 {
			return n, nil
		}
	}
}

// resume asks for what is missing, and returns nil when that comes.
func (r *resumed) resume() error {
	for wait := r.t.wait; r.left > 0; wait *= 4 {
		r.left--
		select {
		case <-time.After(wait):
		case <-r.request.Context().Done():
			return context.Cause(r.request.Context())
		}
		again := r.request.Clone(r.request.Context())
		again.Header.Set("Range", fmt.Sprintf("bytes=%d-%d", r.at, r.size-1))
		if r.tag != "" && !strings.HasPrefix(r.tag, "W/") {
			again.Header.Set("If-Range", r.tag)
		}
		resp, err := r.t.once(again)
		if err != nil {
			continue
		}
		if resp.StatusCode == http.StatusPartialContent && strings.HasPrefix(resp.Header.Get("Content-Range"), fmt.Sprintf("bytes %d-", r.at)) {
			r.ReadCloser.Close()
			r.ReadCloser = resp.Body
			return nil
		}
		resp.Body.Close()
		if resp.StatusCode < http.StatusInternalServerError {
			return fmt.Errorf("it sends no ranges")
		}
	}
	return fmt.Errorf("it breaks off again and again")
}
