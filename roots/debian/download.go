package debian

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	attempts = 4
	// stall is how long a transfer may bring nothing before it is tried again.
	stall = 45 * time.Second
)

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

// fetchFile makes dest hold what is at address, if that has the size and hash
// that want says. What an earlier attempt left in dest.part is continued; two
// processes that want the same file take turns by a lock on it. dest appears
// whole or not at all. got is told of bytes as they arrive, and of negative
// ones when bytes turned out to be useless.
func fetchFile(ctx context.Context, address, dest string, want content, got func(int64)) error {
	part, err := lockPart(ctx, dest+".part")
	if err != nil {
		return err
	}
	defer part.Close()
	if st, err := os.Stat(dest); err == nil && st.Size() == want.size {
		os.Remove(part.Name())
		got(want.size)
		return nil
	}
	t := &transfer{address: address, want: want, part: part, got: got}
	if err := t.resume(); err != nil {
		return err
	}
	if err := retry(ctx, func() error { return t.attempt(ctx) }); err != nil {
		if t.have == 0 || errors.Is(err, syscall.ENOSPC) {
			// Nothing worth keeping, or no room to keep it.
			os.Remove(part.Name())
		}
		return err
	}
	if err := part.Sync(); err != nil {
		return fmt.Errorf("download %s: %w", address, err)
	}
	if err := os.Rename(part.Name(), dest); err != nil {
		return fmt.Errorf("download %s: %w", address, err)
	}
	return nil
}

// lockPart opens a partial file that is locked and still has its name.
func lockPart(ctx context.Context, name string) (*os.File, error) {
	for {
		f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
		if err != nil {
			return nil, fmt.Errorf("download: %w", err)
		}
		for {
			err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
			if !errors.Is(err, unix.EWOULDBLOCK) {
				break
			}
			select {
			case <-ctx.Done():
				f.Close()
				return nil, ctx.Err()
			case <-time.After(50 * time.Millisecond):
			}
		}
		if err != nil {
			f.Close()
			return nil, fmt.Errorf("lock %s: %w", name, err)
		}
		mine, err1 := f.Stat()
		named, err2 := os.Stat(name)
		if err1 == nil && err2 == nil && os.SameFile(mine, named) {
			return f, nil
		}
		// Its last holder renamed or removed it: begin again with a new one.
		f.Close()
	}
}

// transfer is the way of one file from an address to a partial file.
type transfer struct {
	address string
	want    content
	part    *os.File
	got     func(int64)
	sum     hash.Hash
	have    int64
	resumed bool
}

// resume takes over what is in the partial file.
func (t *transfer) resume() error {
	t.sum = sha256.New()
	n, err := io.Copy(t.sum, t.part)
	if err != nil {
		return fmt.Errorf("read %s: %w", t.part.Name(), err)
	}
	t.have, t.resumed = n, n > 0
	t.got(n)
	if n > t.want.size {
		return t.restart()
	}
	return nil
}

func (t *transfer) restart() error {
	t.got(-t.have)
	t.sum.Reset()
	t.have, t.resumed = 0, false
	if err := t.part.Truncate(0); err != nil {
		return fmt.Errorf("download %s: %w", t.address, err)
	}
	if _, err := t.part.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("download %s: %w", t.address, err)
	}
	return nil
}

func (t *transfer) attempt(ctx context.Context) error {
	if t.have < t.want.size {
		if err := t.read(ctx); err != nil {
			return err
		}
	}
	if t.have < t.want.size {
		t.resumed = true
		return again{fmt.Errorf("%w: %s broke off after %d of %d bytes", ErrNetwork, t.address, t.have, t.want.size)}
	}
	var sum [sha256.Size]byte
	t.sum.Sum(sum[:0])
	if t.have == t.want.size && sum == t.want.sha256 {
		return nil
	}
	err := fmt.Errorf("%w: %s: have %d bytes with sha256 %x, want %d bytes with sha256 %s", ErrHash, t.address, t.have, sum, t.want.size, t.want.sha256)
	if t.resumed {
		// The pieces may come from different files: the whole deserves a try.
		err = again{err}
	}
	if e := t.restart(); e != nil {
		return e
	}
	return err
}

func (t *transfer) read(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stalled := again{fmt.Errorf("%w: %s brought nothing for %v", ErrNetwork, t.address, stall)}
	timer := time.AfterFunc(stall, func() { cancel(stalled) })
	defer timer.Stop()
	body, at, err := open(ctx, t.address, t.have)
	if err != nil {
		return cause(ctx, err)
	}
	defer body.Close()
	if at != t.have {
		if err := t.restart(); err != nil {
			return err
		}
	}
	buf := make([]byte, 128<<10)
	for {
		n, err := body.Read(buf)
		timer.Reset(stall)
		t.have += int64(n)
		if t.have > t.want.size {
			return nil // too long; attempt says so
		}
		t.sum.Write(buf[:n])
		if _, err := t.part.Write(buf[:n]); err != nil {
			return fmt.Errorf("download %s: %w", t.address, err)
		}
		t.got(int64(n))
		switch {
		case err == io.EOF:
			return nil
		case err != nil:
			return cause(ctx, again{fmt.Errorf("%w: %s: %w", ErrNetwork, t.address, err)})
		}
	}
}

// cause prefers the reason why a context ended to what that broke.
func cause(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
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
