package deb

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"

	"ninefold/roots/pkg"
)

// ErrChecksum is wrapped when a tarball is not the one that was asked for.
var ErrChecksum = errors.New("checksum does not match")

// Identity names a package made from something that has no name of its own.
type Identity struct {
	Name, Version, Arch string
}

// FromTar makes one package of a whole-root tarball, plain or compressed with
// gzip, xz, zstd or bzip2. Its sha256 must be sum unless sum is zero. The rules
// of Convert for names, links and kinds hold; owners stay as they are numbered,
// and container layers with whiteouts are refused.
//
// If r can seek it is checked before anything is stored, and must stand at its
// start; otherwise at the end.
func FromTar(ctx context.Context, r io.Reader, sum pkg.Digest, as Identity, into Objects, o Options) (*pkg.Package, error) {
	p, err := fromTar(ctx, r, sum, as, into, o, false)
	if s, ok := r.(io.Seeker); ok && errors.Is(err, errLinkToExcluded) {
		if _, err := s.Seek(0, io.SeekStart); err != nil {
			return nil, err
		}
		p, err = fromTar(ctx, r, sum, as, into, o, true)
	}
	if err != nil {
		return nil, fmt.Errorf("tarball %s: %w", as.Name, err)
	}
	return p, nil
}

func fromTar(ctx context.Context, r io.Reader, sum pkg.Digest, as Identity, into Objects, o Options, keepExcluded bool) (*pkg.Package, error) {
	h := sha256.New()
	if s, ok := r.(io.Seeker); ok && !sum.IsZero() {
		if _, err := io.Copy(h, ctxReader{ctx, r}); err != nil {
			return nil, err
		}
		if err := compare(pkg.Digest(h.Sum(nil)), sum); err != nil {
			return nil, err
		}
		if _, err := s.Seek(0, io.SeekStart); err != nil {
			return nil, err
		}
		h.Reset()
	}
	im, err := newImporter(ctx, into, o)
	if err != nil {
		return nil, err
	}
	im.keepExcluded, im.byName, im.layered = keepExcluded, false, true
	in := io.TeeReader(r, h)
	head := make([]byte, 6)
	n, err := io.ReadFull(in, head)
	if err != nil && err != io.ErrUnexpectedEOF && err != io.EOF {
		return nil, err
	}
	in = io.MultiReader(bytes.NewReader(head[:n]), in)
	if err := unpack(ctx, "tar"+compression(head[:n]), "tar", in, maxContent, o, im.tar); err != nil {
		return nil, err
	}
	// Also what came from an unverified stream is dropped if it is the wrong one.
	if !sum.IsZero() {
		if err := compare(pkg.Digest(h.Sum(nil)), sum); err != nil {
			return nil, err
		}
	}
	return im.finish(as.control())
}

func compare(got, want pkg.Digest) error {
	if got != want {
		return fmt.Errorf("%w: sha256 is %s, want %s", ErrChecksum, got, want)
	}
	return nil
}

func (as Identity) control() *control {
	return &control{name: as.Name, version: as.Version, arch: as.Arch}
}

// compression tells the format by its first bytes.
func compression(head []byte) string {
	for suffix, magic := range map[string]string{".gz": "\x1f\x8b", ".xz": "\xfd7zXZ\x00", ".zst": "\x28\xb5\x2f\xfd", ".bz2": "BZh"} {
		if bytes.HasPrefix(head, []byte(magic)) {
			return suffix
		}
	}
	return ""
}

type ctxReader struct {
	ctx context.Context
	r   io.Reader
}

func (c ctxReader) Read(p []byte) (int, error) {
	if c.ctx.Err() != nil {
		return 0, context.Cause(c.ctx)
	}
	return c.r.Read(p)
}
