package erofs

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
)

// ErrDamaged is wrapped by what Check returns for an image that is not as
// Build made it.
var ErrDamaged = errors.New("the image is damaged")

// Check reads a whole image and compares it with its fingerprint: the UUID is
// the first half of the sha256 over the image with UUID and checksum zero.
// One flipped bit anywhere is found. It returns an error wrapping ErrDamaged, or the
// reader's error.
func Check(r io.Reader) error {
	var head [blockSize]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return fmt.Errorf("shorter than a superblock: %w", ErrDamaged)
		}
		return err
	}
	if le.Uint32(head[superOffset:]) != magic {
		return fmt.Errorf("not an EROFS image: %w", ErrDamaged)
	}
	checksum := le.Uint32(head[checksumOffset:])
	clear(head[checksumOffset : checksumOffset+4])
	if superChecksum(head[:]) != checksum {
		return fmt.Errorf("the superblock's checksum does not hold: %w", ErrDamaged)
	}
	uuid := bytes.Clone(head[uuidOffset : uuidOffset+16])
	clear(head[uuidOffset : uuidOffset+16])
	h := sha256.New()
	h.Write(head[:])
	if _, err := io.Copy(h, r); err != nil {
		return err
	}
	if !bytes.Equal(h.Sum(nil)[:16], uuid) {
		return fmt.Errorf("the content does not match its fingerprint: %w", ErrDamaged)
	}
	return nil
}
