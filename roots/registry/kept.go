package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	"golang.org/x/sys/unix"

	"ninefold/roots/store"
)

// keepFrom is how large a blob has to be that what came of it is kept, in bytes.
// Smaller ones are sooner there again than written twice.
const keepFrom = 8 << 20

// begunKey finds, in a request's context, the store.Partial of the blob.
type begunKey struct{}

// kept reads a blob as reading.blob does. What came of a large one is kept, so
// that a pull that is ended goes on there; what is put together so is checked against the blob's
// digest like any other, and fetched again from its beginning when it is something else.
func (p *pull) kept(ctx context.Context, b Blob, use func(io.Reader) error) error {
	if b.Size < keepFrom {
		return p.blob(ctx, b, use)
	}
	part := p.s.Partial(b.Digest, b.Size)
	if part == nil {
		return p.blob(ctx, b, use)
	}
	defer part.Close()
	for {
		had := part.Size() > 0
		err := p.blob(context.WithValue(ctx, begunKey{}, &begun{part, b.Size}), b, use)
		switch {
		case err == nil, errors.Is(err, unix.ENOSPC):
			part.Remove() // what stays is collected
			return err
		case ctx.Err() != nil, errors.As(err, new(broken)):
			return err // it goes on another time
		}
		if e := part.Reset(); e != nil || !had {
			part.Remove()
			return errors.Join(err, e)
		}
	}
}

// begun is what came of a blob of size bytes.
type begun struct {
	*store.Partial
	size int64
}

// have is how many of its bytes are used; the last one comes again, because
// nobody can be asked for nothing.
func (p *begun) have() int64 { return min(p.Size(), p.size-1) }

// begunOf returns the partial that goes with a request; nil for most.
func begunOf(r *http.Request) *begun {
	p, _ := r.Context().Value(begunKey{}).(*begun)
	if p == nil || r.Method != http.MethodGet || !isBlob(r) {
		return nil
	}
	return p
}

// missing asks for what is missing.
func (p *begun) missing(r *http.Request) *http.Request {
	if p == nil || p.have() <= 0 {
		return r
	}
	at := p.have()
	again := r.Clone(r.Context())
	again.Header.Set("Range", fmt.Sprintf("bytes=%d-%d", at, p.size-1))
	return again
}

// answer turns what a registry says to missing into an answer of the whole
// blob, which begins with the at bytes that there are. ok is false when the registry has to be asked
// again, for the whole: what it sends is not what is missing.
func (p *begun) answer(resp *http.Response) (at int64, ok bool, err error) {
	if p == nil {
		return 0, true, nil
	}
	if at = p.have(); resp.StatusCode == http.StatusOK {
		return 0, true, p.Reset() // it knows no ranges, or was asked for the whole
	}
	switch {
	case at <= 0, resp.StatusCode != http.StatusPartialContent && resp.StatusCode != http.StatusRequestedRangeNotSatisfiable:
		return 0, true, nil
	case resp.Header.Get("Content-Range") != fmt.Sprintf("bytes %d-%d/%d", at, p.size-1, p.size) || resp.ContentLength != p.size-at:
		return 0, false, p.Reset()
	}
	resp.StatusCode, resp.Status, resp.ContentLength = http.StatusOK, "200 OK", p.size
	resp.Header.Del("Content-Range")
	return at, true, p.Truncate(at)
}

// keep has the body of a whole blob begin with what there is, and what comes
// kept.
func (p *begun) keep(resp *http.Response, at int64) *http.Response {
	if p != nil && resp.StatusCode == http.StatusOK {
		resp.Body = &keeping{ReadCloser: resp.Body, p: p, left: at}
	}
	return resp
}

// keeping reads what there is of a blob and then what comes, which it keeps.
type keeping struct {
	io.ReadCloser
	p      *begun
	at     int64 // bytes of the file that were read
	left   int64 // bytes of the file that are to be read
	failed bool  // to keep what comes
}

func (k *keeping) Read(b []byte) (int, error) {
	if k.left > 0 {
		n, err := k.p.ReadAt(b[:min(int64(len(b)), k.left)], k.at)
		k.at += int64(n)
		k.left -= int64(n)
		if n > 0 {
			err = nil
		}
		return n, err
	}
	n, err := k.ReadCloser.Read(b)
	if n > 0 && !k.failed {
		k.failed = k.p.Append(b[:n]) != nil
	}
	return n, err
}
