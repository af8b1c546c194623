package registry

import (
	"context"
	"crypto/sha256"
	"fmt"

	"ninefold/internal/netstring"
	"ninefold/roots/pkg"
)

const (
	// recordsSize is from how many bytes on records go into another blob.
	recordsSize = 4 << 20
	// maxRecords bounds a blob of records, unpacked, in bytes: far above what
	// distributions ship, and what a pull holds in memory.
	maxRecords = 128 << 20
)

// records sends the records of packages in as few blobs as may be: what a
// registry does for a small blob costs it more than the bytes in it. The blob of each package is
// put at its place in out.
func (p *push) records(ctx context.Context, stack []*pkg.Package, out []sent) error {
	var all netstring.Packer
	size, first := 0, 0
	flush := func(end int) error {
		b, err := packBytes(RecordsType, []byte(all.String()))
		if err != nil {
			return err
		}
		for i := first; i < end; i++ {
			out[i].record = b
		}
		all, size, first = netstring.Packer{}, 0, end
		return p.to.blob(ctx, b)
	}
	for i, one := range stack {
		b, err := one.Encode()
		if err != nil {
			return err
		}
		if len(b) > maxRecords/2 {
			return fmt.Errorf("package %s: its record has %d bytes, at most %d can be sent", one.Name, len(b), maxRecords/2)
		}
		all.Text(string(b))
		if size += len(b); size >= recordsSize {
			if err := flush(i + 1); err != nil {
				return err
			}
		}
	}
	if first == len(stack) {
		return nil
	}
	return flush(len(stack))
}

// records reads a blob of records, and returns them by the package's id.
func (p *reading) records(ctx context.Context, version int, at Blob) (map[pkg.Digest][]byte, error) {
	var b []byte
	err := p.again(ctx, func() (err error) {
		b, err = p.bytes(ctx, at, maxRecords)
		return err
	})
	if err != nil {
		return nil, err
	}
	if version == 1 {
		return map[pkg.Digest][]byte{sha256.Sum256(b): b}, nil
	}
	out := map[pkg.Digest][]byte{}
	for r := netstring.Unpack(string(b)); ; {
		if r.Rest() == "" {
			return out, nil
		}
		record := []byte(r.Text())
		if len(record) == 0 {
			return nil, fmt.Errorf("%w: blob %s holds something else than records", ErrRefused, at.Digest.Short())
		}
		out[sha256.Sum256(record)] = record
	}
}
