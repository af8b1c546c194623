package debian

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// attempts is how often an address is tried before it counts as out of reach.
const attempts = 4

// again marks an error that another attempt may cure.
type again struct{ error }

func (a again) Unwrap() error { return a.error }

func curable(err error) bool {
	var a again
	return errors.As(err, &a)
}

// fetchSmall returns what is at address, at most limit bytes.
func fetchSmall(ctx context.Context, address string, limit int64) (data []byte, err error) {
	err = retry(ctx, func() error {
		body, _, err := open(ctx, address, 0)
		if err != nil {
			return err
		}
		defer body.Close()
		if data, err = io.ReadAll(io.LimitReader(body, limit+1)); err != nil {
			return again{fmt.Errorf("%w: %s: %w", ErrNetwork, address, err)}
		}
		if int64(len(data)) > limit {
			return fmt.Errorf("%w: %s is larger than %d bytes", ErrHash, address, limit)
		}
		return nil
	})
	return data, err
}

// open starts reading address at offset, or at 0 when the other side cannot
// do that; at says which.
func open(ctx context.Context, address string, offset int64) (body io.ReadCloser, at int64, err error) {
	if path, ok := strings.CutPrefix(address, "file://"); ok {
		return openLocal(path, offset)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, 0, fmt.Errorf("%w: %w", ErrNetwork, err)
	}
	req.Header.Set("User-Agent", "ninefold")
	if offset > 0 {
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-", offset))
	}
	resp, err := client().Do(req)
	if err != nil {
		err = fmt.Errorf("%w: %w", ErrNetwork, err)
		if dns := (*net.DNSError)(nil); !errors.As(err, &dns) || !dns.IsNotFound {
			err = again{err}
		}
		return nil, 0, cause(ctx, err)
	}
	switch code := resp.StatusCode; {
	case code == http.StatusOK:
		return resp.Body, 0, nil
	case code == http.StatusPartialContent && strings.HasPrefix(resp.Header.Get("Content-Range"), fmt.Sprintf("bytes %d-", offset)):
		return resp.Body, offset, nil
	}
	resp.Body.Close()
	switch code := resp.StatusCode; {
	case code == http.StatusNotFound || code == http.StatusGone:
		return nil, 0, fmt.Errorf("%w: %s", ErrGone, address)
	case offset > 0:
		return open(ctx, address, 0)
	case code >= 500 || code == http.StatusTooManyRequests || code == http.StatusRequestTimeout:
		return nil, 0, again{fmt.Errorf("%w: %s: the server says %s", ErrNetwork, address, resp.Status)}
	}
	return nil, 0, fmt.Errorf("%w: %s: the server says %s", ErrNetwork, address, resp.Status)
}

func openLocal(escaped string, offset int64) (io.ReadCloser, int64, error) {
	path, err := url.PathUnescape(escaped)
	if err != nil {
		return nil, 0, fmt.Errorf("%w: file://%s: %w", ErrGone, escaped, err)
	}
	f, err := os.Open(filepath.Clean(path))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, 0, fmt.Errorf("%w: %s", ErrGone, path)
	}
	if err != nil {
		return nil, 0, err
	}
	if _, err := f.Seek(offset, io.SeekStart); err != nil {
		f.Close()
		return nil, 0, err
	}
	return f, offset, nil
}

// retry calls f until it succeeds, fails for good, or has had its attempts,
// with growing pauses.
func retry(ctx context.Context, f func() error) error {
	pause := 300 * time.Millisecond
	for n := 1; ; n++ {
		err := f()
		if err == nil || n == attempts || !curable(err) || ctx.Err() != nil {
			if ctx.Err() != nil && err != nil {
				return context.Cause(ctx)
			}
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(pause):
		}
		pause *= 3
	}
}
