package registry

import (
	"bytes"
	"crypto/sha256"
	"io"
	"os"
	"sync"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/klauspost/compress/zstd"

	"ninefold/roots/pkg"
)

// blob is what is sent. As a manifest it is something that the client library sends.
type blob struct {
	digest, diff pkg.Digest
	size         int64
	media        types.MediaType
	file         string // "": data
	data         []byte
}

func (b *blob) Digest() (v1.Hash, error)            { return hashOf(b.digest), nil }
func (b *blob) Size() (int64, error)                { return b.size, nil }
func (b *blob) MediaType() (types.MediaType, error) { return b.media, nil }
func (b *blob) descriptor() v1.Descriptor {
	return v1.Descriptor{MediaType: b.media, Digest: hashOf(b.digest), Size: b.size}
}

func (b *blob) open() (io.ReadCloser, error) {
	if b.file != "" {
		return os.Open(b.file)
	}
	return io.NopCloser(bytes.NewReader(b.data)), nil
}

func plain(media types.MediaType, data []byte) *blob {
	d := pkg.Digest(sha256.Sum256(data))
	return &blob{digest: d, diff: d, size: int64(len(data)), media: media, data: data}
}

// encoders are kept, because each has buffers of several megabytes. One thread a
// blob: the bytes then depend on the input alone. At this level a desktop is as small as with
// gzip, at a third of the time; the next one takes half as long again for 6 %.
var encoders = sync.Pool{New: func() any {
	z, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedFastest))
	if err != nil {
		panic(err) // of options that never change
	}
	return z
}}

// pack compresses what fill writes to w.
func pack(w io.Writer, media types.MediaType, fill func(io.Writer) error) (*blob, error) {
	out, in := sha256.New(), sha256.New()
	n := &counter{w: io.MultiWriter(w, out)}
	z := encoders.Get().(*zstd.Encoder)
	defer func() {
		z.Reset(nil)
		encoders.Put(z)
	}()
	z.Reset(n)
	if err := fill(io.MultiWriter(z, in)); err != nil {
		return nil, err
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	return &blob{digest: pkg.Digest(out.Sum(nil)), diff: pkg.Digest(in.Sum(nil)), size: n.n, media: media}, nil
}

func packBytes(media types.MediaType, data []byte) (*blob, error) {
	var buf bytes.Buffer
	b, err := pack(&buf, media, func(w io.Writer) error { _, err := w.Write(data); return err })
	if err == nil {
		b.data = buf.Bytes()
	}
	return b, err
}

type counter struct {
	w io.Writer
	n int64
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}
