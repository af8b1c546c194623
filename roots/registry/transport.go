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
	idle          = time.Minute // for the next pace bytes, in either direction
	pace          = 16 << 10
	maxRetryAfter = 30 * time.Second // a registry may ask for more, and gets an error
	maxManifest   = 8 << 20
	tries         = 4
)

var errIdle = errors.New("the registry sends nothing")

// transport bounds what a registry can do to us: it never waits longer than
// idle for the next bytes, reads no manifest without end, and speaks HTTP without TLS only
// to the loopback registry that was asked for. A blob that breaks off goes on
// where it did.
type transport struct {
	host string
	next http.RoundTripper
	idle time.Duration
	wait time.Duration // before a blob goes on for the first time
}

// RoundTrip implements http.RoundTripper. It waits as a registry asks with
// Retry-After (RFC 9110, 10.2.3), for half a minute at most, when a request can be
// repeated.
func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Scheme != "https" && (r.URL.Host != t.host || !loopback(t.host)) {
		return nil, fmt.Errorf("%w: %s://%s: without TLS only a registry on this machine is spoken to", ErrRefused, r.URL.Scheme, r.URL.Host)
	}
	part := begunOf(r)
	for try := 1; ; try++ {
		resp, err := t.once(part.missing(r))
		if err != nil {
			return nil, err
		}
		wait, ok := retryAfter(resp, time.Now())
		if !ok || try == tries || r.Body != nil && r.Body != http.NoBody && r.GetBody == nil {
			at, ok, err := part.answer(resp)
			if ok && err == nil {
				return part.keep(t.whole(r, resp, at), at), nil
			}
			resp.Body.Close()
			if err != nil {
				return nil, err
			}
			continue
		}
		resp.Body.Close()
		if r.GetBody != nil {
			again := *r
			if again.Body, err = r.GetBody(); err != nil {
				return nil, err
			}
			r = &again
		}
		select {
		case <-time.After(wait):
		case <-r.Context().Done():
			return nil, context.Cause(r.Context())
		}
	}
}

func (t *transport) once(r *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancelCause(r.Context())
	timer := time.AfterFunc(t.idle, func() { cancel(errIdle) })
	r = r.WithContext(ctx)
	if r.Body != nil && r.Body != http.NoBody {
		r.Body = &alive{ReadCloser: r.Body, timer: timer, idle: t.idle, left: -1}
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
	timer.Reset(t.idle)
	body := &alive{ReadCloser: resp.Body, timer: timer, idle: t.idle, ctx: ctx, cancel: cancel, left: -1}
	if !isBlob(r) || resp.StatusCode >= http.StatusMultipleChoices {
		body.left = maxManifest
	}
	resp.Body = body
	return resp, nil
}

// alive is a body that puts its timer back with each pace bytes: who sends a
// byte now and then is as good as silent.
type alive struct {
	io.ReadCloser
	timer  *time.Timer
	idle   time.Duration
	since  int             // bytes since the timer was put back
	ctx    context.Context // of a response
	cancel context.CancelCauseFunc
	left   int64 // -1: no bound
}

func (a *alive) Read(p []byte) (int, error) {
	n, err := a.ReadCloser.Read(p)
	if a.since += n; a.since >= pace {
		a.since = 0
		a.timer.Reset(a.idle)
	}
	if a.ctx == nil {
		if err == io.EOF {
			a.timer.Reset(a.idle) // the answer's turn
		}
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

// isBlob reports whether a request asks for a blob. An address that a registry
// sends us on to does not say so any more; what is there is asked for by GET, too.
func isBlob(r *http.Request) bool {
	for r.Response != nil {
		r = r.Response.Request
	}
	return strings.Contains(r.URL.Path, "/blobs/sha256:")
}

func retryAfter(r *http.Response, now time.Time) (time.Duration, bool) {
	if r.StatusCode != http.StatusTooManyRequests && r.StatusCode != http.StatusServiceUnavailable {
		return 0, false
	}
	text := r.Header.Get("Retry-After")
	if at, err := http.ParseTime(text); err == nil {
		wait := max(0, at.Sub(now))
		return wait, wait <= maxRetryAfter
	}
	n, err := strconv.Atoi(text)
	return time.Duration(n) * time.Second, err == nil && n >= 0 && n <= int(maxRetryAfter/time.Second)
}

func loopback(hostport string) bool {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		host = hostport
	}
	ip := net.ParseIP(strings.Trim(host, "[]"))
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
