package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const (
	idle          = time.Minute      // without a byte in either direction
	maxRetryAfter = 30 * time.Second // a registry may ask for more, and gets an error
	maxManifest   = 8 << 20
	tries         = 4
)

var errIdle = errors.New("the registry sends nothing")

// transport bounds what a registry can do to us: it never waits longer than
// idle for the next byte, reads no manifest without end, and speaks HTTP without TLS only
// to the loopback registry that was asked for.
type transport struct {
	host string
	next http.RoundTripper
}

// RoundTrip implements http.RoundTripper. It waits as a registry asks with
// Retry-After (RFC 9110, 10.2.3), in seconds alone, when a request can be repeated.
func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Scheme != "https" && (r.URL.Host != t.host || !loopback(t.host)) {
		return nil, fmt.Errorf("%w: %s://%s: without TLS only a registry on this machine is spoken to", ErrRefused, r.URL.Scheme, r.URL.Host)
	}
	for try := 1; ; try++ {
		resp, err := t.once(r)
		if err != nil || try == tries || r.Method != http.MethodGet && r.Method != http.MethodHead {
			return resp, err
		}
		wait, ok := retryAfter(resp)
		if !ok {
			return resp, nil
		}
		resp.Body.Close()
		select {
		case <-time.After(wait):
		case <-r.Context().Done():
			return nil, context.Cause(r.Context())
		}
	}
}

func (t *transport) once(r *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancelCause(r.Context())
	timer := time.AfterFunc(idle, func() { cancel(errIdle) })
	r = r.WithContext(ctx)
	if r.Body != nil && r.Body != http.NoBody {
		r.Body = &alive{ReadCloser: r.Body, timer: timer}
	}
	resp, err := t.next.RoundTrip(r)
	if err != nil {
		timer.Stop()
		if errors.Is(context.Cause(ctx), errIdle) {
			err = errIdle
		}
		cancel(nil)
		return nil, err
	}
	body := &alive{ReadCloser: resp.Body, timer: timer, ctx: ctx, cancel: cancel, left: -1}
	if !strings.Contains(resp.Request.URL.Path, "/blobs/") {
		body.left = maxManifest
	}
	resp.Body = body
	return resp, nil
}

// alive is a body that puts its timer back with each read.
type alive struct {
	io.ReadCloser
	timer  *time.Timer
	ctx    context.Context // of a response
	cancel context.CancelCauseFunc
	left   int64 // -1: no bound
}

func (a *alive) Read(p []byte) (int, error) {
	n, err := a.ReadCloser.Read(p)
	a.timer.Reset(idle)
	if a.ctx == nil {
		return n, err
	}
	if a.left >= 0 {
		if a.left -= int64(n); a.left < 0 {
			return 0, fmt.Errorf("%w: an answer of more than %d bytes", ErrRefused, maxManifest)
		}
	}
	if err != nil && errors.Is(context.Cause(a.ctx), errIdle) {
		err = errIdle
	}
	return n, err
}

func (a *alive) Close() error {
	err := a.ReadCloser.Close()
	if a.cancel != nil {
		a.timer.Stop()
		a.cancel(nil)
	}
	return err
}

func retryAfter(r *http.Response) (time.Duration, bool) {
	if r.StatusCode != http.StatusTooManyRequests && r.StatusCode != http.StatusServiceUnavailable {
		return 0, false
	}
	n, err := strconv.Atoi(r.Header.Get("Retry-After"))
	wait := time.Duration(n) * time.Second
	return wait, err == nil && n >= 0 && n <= int(maxRetryAfter/time.Second)
}

func loopback(hostport string) bool {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		host = hostport
	}
	ip := net.ParseIP(strings.Trim(host, "[]"))
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
