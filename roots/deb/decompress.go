package deb

import (
	"bufio"
	"compress/bzip2"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
)

// maxWindow bounds the memory of one decoder, in bytes; dpkg-deb's highest
// level needs 64 MiB.
const maxWindow = 256 << 20

// unpack decompresses a tar member by its suffix, hands it to read, and then
// makes sure that nothing but padding is left and that the stream was whole.
// At most limit bytes come out of it.
func unpack(ctx context.Context, name, base string, r io.Reader, limit int64, o Options, read func(io.Reader) error) error {
	in := &watched{r: r}
	d, err := decompress(ctx, strings.TrimPrefix(name, base), in, o)
	if err != nil {
		return in.blame(name, err)
	}
	out := &limited{r: bufio.NewReaderSize(d, 256<<10), left: limit}
	if err = read(out); err == nil {
		err = zeros(out)
	}
	closed := d.Close()
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case in.err != nil && (err != nil || closed != nil):
		return in.err
	case out.tooMuch:
		return malformed("%s: more than %d bytes", name, limit)
	case closed != nil: // says more than the early end that read saw
		if _, killed := errors.AsType[*exec.ExitError](closed); killed {
			return fmt.Errorf("%s: the xz program failed: %w", name, closed)
		}
		return in.blame(name, closed)
	case err != nil && out.err == nil:
		return err // of read itself: the content, or the store
	case err != nil:
		return in.blame(name, err)
	}
	// Decoders may stop before the end of the member.
	if _, err := io.Copy(io.Discard, in); err != nil {
		return err
	}
	return nil
}

// watched remembers an error of the compressed input, so that it is not taken
// for one of the compression.
type watched struct {
	r   io.Reader
	err error
}

func (w *watched) Read(p []byte) (int, error) {
	n, err := w.r.Read(p)
	if err != nil && err != io.EOF {
		w.err = err
	}
	return n, err
}

func (w *watched) blame(name string, err error) error {
	if w.err != nil {
		return w.err
	}
	if errors.Is(err, ErrMalformed) {
		return err
	}
	return malformed("%s: %w", name, err)
}

// limited passes on at most left bytes and remembers the decoder's error.
type limited struct {
	r       io.Reader
	left    int64
	err     error
	tooMuch bool
}

func (l *limited) Read(p []byte) (int, error) {
	if l.left <= 0 {
		l.tooMuch, l.err = true, fmt.Errorf("too large")
		return 0, l.err
	}
	if int64(len(p)) > l.left {
		p = p[:l.left]
	}
	n, err := l.r.Read(p)
	l.left -= int64(n)
	if err != nil && err != io.EOF {
		l.err = err
	}
	return n, err
}

// zeros reads to the end and accepts only the zeros that pad a tar archive.
func zeros(r io.Reader) error {
	buf := make([]byte, 16<<10)
	for {
		n, err := r.Read(buf)
		for _, c := range buf[:n] {
			if c != 0 {
				return malformed("there is data after the end of the tar archive")
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func decompress(ctx context.Context, suffix string, r io.Reader, o Options) (io.ReadCloser, error) {
	switch suffix {
	case "":
		return io.NopCloser(r), nil
	case ".gz":
		return gzip.NewReader(r)
	case ".bz2":
		return io.NopCloser(bzip2.NewReader(r)), nil
	case ".zst":
		d, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow))
		if err != nil {
			return nil, err
		}
		return d.IOReadCloser(), nil
	case ".xz":
		if prog := xzProgram(); prog != "" && !o.GoXZ {
			return startXZ(ctx, prog, r)
		}
		d, err := xz.ReaderConfig{SingleStream: true, DictCap: 1 << 16}.NewReader(bufio.NewReader(&xzHeader{r: r}))
		if err != nil {
			return nil, err
		}
		return io.NopCloser(d), nil
	}
	return nil, fmt.Errorf("compression %q is not known; gz, xz, zst, bz2 and none are", suffix)
}
